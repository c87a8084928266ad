"""The work for query parameters and form fields."""

import re
from typing import Any

import pytest

from edge.bind import query_parameters
from edge.bind.query_parameters import QueryParameters
from edge.contract.contract import Contract
from edge.protojson.readers import Readers
from edge.protojson.violations import Violations
from edge.protojson.well_known import MASK_PATH_OF_TEXT

COUNT = 50


class _CountingPattern:
    """A pattern that counts how often it is matched."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.count = 0
        self._pattern = pattern

    def fullmatch(self, text: str) -> re.Match[str] | None:
        self.count += 1
        return self._pattern.fullmatch(text)


def test_each_element_of_a_well_known_type_is_checked_once(library: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more element does not check those before it again: a form of a megabyte kept the worker thread busy for more
    than a minute.
    """
    pattern = _CountingPattern(MASK_PATH_OF_TEXT)
    monkeypatch.setattr(query_parameters, "MASK_PATH_OF_TEXT", pattern)
    written: list[str] = []
    for name in ("google.protobuf.ListValue", "google.protobuf.Struct"):
        desc = library.registry.message(name)
        assert desc is not None, f"no {name}"
        monkeypatch.setattr(desc.type, "to_json", lambda self: written.append(self.desc().type_name))
    everything = library.registry.message("library.v1.Everything")
    assert everything is not None, "no Everything"
    pairs = [
        pair
        for index in range(COUNT)
        for pair in (("fieldMask.paths", "a"), ("listValue.values", "[1]"), (f"struct.fields[{index}]", "{}"))
    ]
    message: Any = everything.type()
    violations = Violations()
    QueryParameters(everything, Readers(library.registry)).bind(pairs, message, violations)
    assert violations.found == []
    assert [len(message.field_mask.paths), len(message.list_value.values), len(message.struct.fields)] == [COUNT] * 3
    assert pattern.count == COUNT
    assert written == []
