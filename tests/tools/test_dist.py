"""The build of a release."""

from pathlib import Path

import pytest

from tools.dist import DistFailed, make, notes_of

CHANGELOG = "# Changelog\n\n## Unreleased\n\n## 1.10.0 (2026-12-01)\n\n### Added\n\n- Ten.\n\n## 1.1.0\n\n- One.\n"


@pytest.mark.parametrize(("version", "notes"), [("1.10.0", "### Added\n\n- Ten.\n"), ("1.1.0", "- One.\n")])
def test_notes_are_the_section_of_the_version(version: str, notes: str) -> None:
    """The notes end where the next version begins, and the date is no part of them."""
    assert notes_of(version, CHANGELOG) == notes


@pytest.mark.parametrize("version", ["1.1", "1.0.0", "10.1.0"])
def test_a_version_without_notes_is_not_released(version: str) -> None:
    """A version that is a part of another one's number has no section either."""
    with pytest.raises(DistFailed, match="has no section"):
        notes_of(version, CHANGELOG)


@pytest.mark.parametrize("version", ["", "1", "1.2", "v1.2.3", "01.2.3", "1.2.3 ", "1.2.3;ls"])
def test_a_wrong_version_is_a_sentence(version: str, tmp_path: Path) -> None:
    """An invalid version is rejected before anything is written."""
    with pytest.raises(DistFailed, match=r"make dist VERSION=1\.2\.3"):
        make(version, tmp_path / "dist")
    assert not (tmp_path / "dist").exists()
