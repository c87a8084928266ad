"""Rules as sentences, for those that JSON Schema has no keyword for."""

import base64
from collections.abc import Iterable
from typing import Any, Final

from protobuf import Message

_SENTENCES: Final = {
    "const": "be {}",
    "in": "be one of {}",
    "not_in": "be none of {}",
    "lt": "be less than {}",
    "lte": "be at most {}",
    "gt": "be greater than {}",
    "gte": "be at least {}",
    "lt_now": "be in the past",
    "gt_now": "be in the future",
    "within": "be within {} of now",
    "min_len": "be at least {} bytes long",
    "max_len": "be at most {} bytes long",
    "len": "be {} bytes long",
    "min_bytes": "be at least {} bytes long in UTF-8",
    "max_bytes": "be at most {} bytes long in UTF-8",
    "len_bytes": "be {} bytes long in UTF-8",
    "prefix": "begin with {}",
    "suffix": "end with {}",
    "contains": "contain {}",
    "not_contains": "not contain {}",
    "pattern": "match the regular expression {}",
    "ip": "be an IP address",
    "ipv4": "be an IPv4 address",
    "ipv6": "be an IPv6 address",
    "finite": "be finite",
    "example": "",
}
"""The sentences of rules that have no keyword, as they go on after "The value must"."""


def sentences(kind: str, rules: dict[str, Any]) -> list[str]:
    """Returns a sentence for each rule of a type, by the rules' names."""
    made = []
    for name, value in rules.items():
        sentence = _SENTENCES.get(name, f"satisfy `{kind}.{name}`" + ("" if value is True else " = {}"))
        if sentence and value is not False:
            made.append(f"must {sentence.format(_shown(value))}")
    return made


def _shown(value: Any) -> str:
    """Returns the value of a rule as JSON writes it."""
    if isinstance(value, Message):
        return _shown(value.to_json().strip('"'))
    if isinstance(value, bytes):
        return f"{_shown(base64.b64encode(value).decode())} (in base64)"
    if isinstance(value, str):
        return f"`{value}`"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Iterable):
        return ", ".join(map(_shown, value))
    return f"{value}"
