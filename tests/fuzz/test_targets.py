"""The fuzzer's targets, on inputs that are kept and on some that are generated: the same ones each time."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.contract.contract import read
from mesh.http2.server.call import ServerCall
from tests.fuzz.contract import image
from tests.fuzz.downstream import Downstream
from tests.fuzz.targets import CASES, NAMES, Target, cases, targets
from tests.fuzz.upstream import Upstream
from tests.fuzz.wire import Wire

KEPT = [(name, file) for name in NAMES for file in cases(name)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Target]]:
    """All targets."""
    contract = read(image(tmp_path_factory.mktemp("fuzz")))
    with (
        contextlib.closing(Wire(contract)) as wire,
        contextlib.closing(Upstream()) as upstream,
        contextlib.closing(Downstream()) as downstream,
    ):
        yield targets(contract, wire, upstream, downstream)


@pytest.mark.parametrize(("name", "file"), KEPT, ids=[f"{name}-{file.name}" for name, file in KEPT])
def test_kept_inputs(made: dict[str, Target], name: str, file: Path) -> None:
    """Each was chosen, or failed once: it is accepted or refused, in one piece and however it is cut short."""
    data = file.read_bytes()
    made[name](data)
    for end in range(0, min(len(data), 100), 7):
        made[name](data[:end])


@pytest.mark.parametrize("name", NAMES)
def test_any_bytes(made: dict[str, Target], name: str) -> None:
    """Kept inputs with a part of them replaced by others, and bytes that mean nothing."""
    seeds = [file.read_bytes() for file in cases(name)]
    changed = st.builds(
        lambda seed, at, width, middle: seed[: at % (len(seed) + 1)] + middle + seed[at % (len(seed) + 1) + width :],
        st.sampled_from(seeds),
        st.integers(0, 1000),
        st.integers(0, 10),
        st.binary(max_size=8) | st.sampled_from(seeds),
    )

    @settings(max_examples=200, derandomize=True, database=None)
    @given(changed | st.binary(max_size=60))
    def check(data: bytes) -> None:
        made[name](data)

    check()


def test_each_target_has_its_folder() -> None:
    """And no folder is left over."""
    assert {folder.name for folder in CASES.iterdir()} == set(NAMES)


def test_a_handler_that_fails_is_noticed(made: dict[str, Target], monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the server goes on: it logs the error. The next input starts without it."""
    check, data = made["downstream"], (CASES / "downstream" / "unary").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(ServerCall, "finish", Mock(side_effect=KeyError))
        with pytest.raises(AssertionError, match="KeyError"):
            check(data)
    check(data)
