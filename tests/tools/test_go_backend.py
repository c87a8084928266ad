"""The builds of the tests' own programs in Go."""

from pathlib import Path
from typing import Any

import pytest

from tools import go_backend


def test_a_build_that_was_cut_off_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The next run does not take a part of a program for the whole one."""
    target = tmp_path / "program"

    def cut_off(*arguments: str, **_: Any) -> None:
        Path(arguments[arguments.index("-o") + 1]).write_text("a part")
        raise KeyboardInterrupt

    monkeypatch.setattr(go_backend, "BIN", tmp_path)
    monkeypatch.setattr(go_backend, "go", cut_off)
    with pytest.raises(KeyboardInterrupt):
        go_backend.build("program", ".", target)
    assert not target.exists()
