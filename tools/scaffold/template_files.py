"""The files of the template, with its names replaced by those of a new service."""

import io
import re
import textwrap
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tools.scaffold.names import SAMPLE_RESOURCE, SAMPLE_SERVICE, Names

FOLDER: Final = Path(__file__).parent / "template"
COMMENT_COLUMNS_MAX: Final = 100

_COMMENT: Final = re.compile(r"^(?P<indent> *)// (?P<text>\S.*)$")


def rendered(names: Names) -> dict[Path, str]:
    """Returns the text of each file of a new service, by its path in the checkout."""
    substitutions = names.substitutions()
    return {
        Path(_replaced(path.relative_to(FOLDER).as_posix(), substitutions)): _text(path, substitutions)
        for path in _paths()
    }


def names_in_code() -> set[str]:
    """Returns all names in the template's code except those of its service and its resource."""
    ours = re.compile(f"{SAMPLE_SERVICE}|{SAMPLE_RESOURCE}|Sample(Shelf|Note)")
    found = set()
    for path in _paths():
        if path.suffix == ".py":
            tokens = tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
            found |= {each.string for each in tokens if each.type == tokenize.NAME and not ours.search(each.string)}
    return found


def _paths() -> Iterator[Path]:
    return (path for path in sorted(FOLDER.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)


def _text(path: Path, substitutions: Mapping[str, str]) -> str:
    text = _replaced(path.read_text(), substitutions)
    return _wrap_comments(text) if path.suffix == ".proto" else text


def _replaced(text: str, substitutions: Mapping[str, str]) -> str:
    longest_first = sorted(substitutions, key=len, reverse=True)
    # An article is a separate word, but a name may be part of a word: CreateSampleNoteRequest.
    pattern = "|".join(rf"\b{each}" if each[1] == " " else each for each in longest_first)
    return re.sub(pattern, lambda match: substitutions[match[0]], text)


def _wrap_comments(text: str) -> str:
    """Returns a contract with its comments rewrapped, because names differ in length."""
    lines: list[str] = []
    paragraph: list[str] = []
    indent = ""
    for line in [*text.splitlines(), ""]:
        if comment := _COMMENT.match(line):
            indent = comment["indent"]
            paragraph.append(comment["text"])
            continue
        if paragraph:
            prefix = f"{indent}// "
            lines += textwrap.wrap(
                " ".join(paragraph),
                COMMENT_COLUMNS_MAX,
                initial_indent=prefix,
                subsequent_indent=prefix,
                break_long_words=False,
                break_on_hyphens=False,
            )
            paragraph = []
        lines.append(line)
    return "\n".join(lines)
