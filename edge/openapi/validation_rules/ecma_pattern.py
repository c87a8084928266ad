"""Regular expressions of RE2, in which protovalidate's are, in the syntax of ECMA-262, in which JSON Schema's are.

Validators compile them with the flag u, which allows no character to be escaped that has no special meaning, and no
bracket to stand for itself (ECMA-262, section 22.2.1). They refuse the whole document because of one such pattern.
"""

import re
from typing import Final

# What https://github.com/google/re2/wiki/Syntax has and ECMA-262 has not: flags, names in Python's form, some classes.
_RE2_ONLY = re.compile(r"\(\?[A-Za-z]|\[:\^|\\[AzQECapP0-9]|\\x\{")
_TOKEN = re.compile(r"\\.|\[:[a-z]+:\]|\[\^?|\{[0-9]+(?:,[0-9]*)?\}|.", re.DOTALL)
_ASCII_CLASSES: Final = {
    "[:alnum:]": "0-9A-Za-z",
    "[:alpha:]": "A-Za-z",
    "[:cntrl:]": r"\x00-\x1f\x7f",
    "[:digit:]": "0-9",
    "[:graph:]": "!-~",
    "[:lower:]": "a-z",
    "[:print:]": " -~",
    "[:space:]": r"\t-\r ",
    "[:upper:]": "A-Z",
    "[:word:]": "0-9A-Za-z_",
    "[:xdigit:]": "0-9A-Fa-f",
}

_ESCAPABLE: Final = frozenset("^$\\.*+?()[]{}|/")
_CLASS_ESCAPES: Final = frozenset(f"\\{each}" for each in "dDsSwW")


def ecma_pattern(pattern: str) -> str | None:
    """Returns the same pattern, None if ECMA-262 has no syntax for a part of it."""
    if _RE2_ONLY.search(pattern):
        return None
    made: list[str] = []
    class_start: int | None = None  # the index of the bracket that the current class begins with
    for token in _TOKEN.findall(pattern):
        is_first, before = class_start == len(made) - 1, made[-1] if made else ""
        if token.startswith("[:"):
            if class_start is None or token not in _ASCII_CLASSES:
                return None
            made.append(_ASCII_CLASSES[token])
        elif token[0] == "\\":
            made.append(_escaped(token, in_class=class_start is not None))
        elif class_start is None:
            class_start = len(made) if token[0] == "[" else None
            made.append(f"\\{token}" if token in ("{", "}", "]") else token)
        elif token == "]" and not is_first:
            class_start = None
            made.append(token)
        else:
            is_itself = token[0] in "[]" or (token == "-" and before in _CLASS_ESCAPES)
            made.append(f"\\{token}" if is_itself else token)
    return "".join(made)


def _escaped(token: str, *, in_class: bool) -> str:
    """Returns an escaped character, without the backslash if ECMA-262 allows none."""
    character = token[1:]
    is_needed = character.isalnum() or character in _ESCAPABLE or (in_class and character == "-")
    return token if is_needed else character
