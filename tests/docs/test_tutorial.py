"""The tutorial, followed word by word: every command runs, and its output is the one on the page."""

import contextlib
from pathlib import Path

import pytest

from local.declarations import ports
from tests.checkout import ROOT, Checkout
from tests.docs.tutorial import Reader, matches, read_steps

SERVICE = "reviews"


@pytest.mark.timeout(600)
def test_the_tutorial_works() -> None:
    """A reader who runs the commands gets the outputs on the page."""
    page = (ROOT / "docs/tutorial.md").read_text()
    steps = list(read_steps(page))
    assert sum(step.expected is not None for step in steps) > 10
    port = ports.assign({SERVICE: None})[SERVICE]
    assert f"localhost:{port}" in page
    with Checkout.copied() as checkout, contextlib.closing(Reader(checkout, SERVICE, port)) as reader:
        for step in steps:
            reader.follow(step)


@pytest.mark.parametrize(
    ("expected", "output", "is_match"),
    [
        ("a\n", "a\n", True),
        ("a\n", "ab\n", False),
        ("a…c\n", "abc\n", True),
        ("a…c\n", "a\nc\n", False),
        ("…\nb\n", "a\na\nb\n", True),
        ("…\nb\n", "b\n", True),
        ("…\nb\n", "ab\n", False),
        ("a\n…\n", "a\nb\n", True),
        ("a.\n", "ab\n", False),
    ],
)
def test_an_output_is_compared(expected: str, output: str, is_match: bool) -> None:
    """Only … stands for something else: within a line for a part of it, alone for any lines."""
    assert matches(expected, output) is is_match


@pytest.mark.parametrize("page", ["```text\na\n```\n", "```diff\na\n```\n\n```text\na\n```\n", "```\na\n```\n"])
def test_a_block_that_nobody_would_check_is_an_error(page: str) -> None:
    """Outputs follow commands, and every block has a kind."""
    with pytest.raises(ValueError, match="line"):
        list(read_steps(page))


def test_a_reader_notices_what_is_wrong(tmp_path: Path) -> None:
    """A command that fails, and an output that is another one."""
    checkout = Checkout(tmp_path / "checkout")
    checkout.folder.mkdir()
    reader = Reader(checkout, SERVICE, 1)
    for page in ("```sh\nfalse\n```\n", "```sh\necho a\n```\n\n```text\nb\n```\n"):
        with pytest.raises(AssertionError, match=r"docs/tutorial.md:1: "):
            reader.follow(next(read_steps(page)))
    reader.follow(next(read_steps("```sh\nNAME=a\n```\n")))
    reader.follow(next(read_steps("```sh\necho $NAME\n```\n\n```text\na\n```\n")))
