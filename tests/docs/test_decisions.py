"""The form of the decision records, and their index."""

import re
from pathlib import Path
from typing import Final

import pytest

FOLDER: Final = Path(__file__).parents[2] / "docs" / "decisions"
RECORDS: Final = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
HEADINGS: Final = ["Context", "Decision", "Consequences", "Alternatives"]
HEAD: Final = re.compile(
    r"# (?P<number>\d+)\. (?P<title>.+)\n\n"
    r"- Status: (?P<status>Proposed|Accepted|Superseded by \[ADR \d+\]\(\d{4}-[a-z0-9-]+\.md\))\n"
    r"- Date: (?P<date>\d{4}-\d{2}-\d{2})\n\n",
)


def head_of(path: Path) -> re.Match[str]:
    """Returns the number, title, status and date of a record."""
    match = HEAD.match(path.read_text())
    assert match is not None, f"{path.name} does not begin with a title, a status and a date"
    return match


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.name)
def test_a_record_has_the_form(path: Path) -> None:
    """Every record has its number, a status, a date and the four headings, in this order."""
    assert int(path.name[:4]) == int(head_of(path)["number"])
    assert re.findall(r"^## (.+)$", path.read_text(), re.MULTILINE) == HEADINGS


def test_the_index_lists_every_record() -> None:
    """The index has each record once, in order, with the title, the status and the date that the record has."""
    expected = [
        f"| [{path.name[:4]}]({path.name}) | {head['title']} | {head['status']} | {head['date']} |"
        for path, head in ((path, head_of(path)) for path in RECORDS)
    ]
    index = (FOLDER / "README.md").read_text().splitlines()
    assert [line for line in index if line.startswith("| [")] == expected
