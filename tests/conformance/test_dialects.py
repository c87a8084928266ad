"""The JSON form of the features that proto2 and editions have and proto3 does not."""

from typing import Any

import pytest

from tests.conformance.dialect import Dialect


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ('"int32": 0, "string": ""', {"int32": 0, "string": ""}),
        ('"int32": 7', {"int32": 7}),
        ('"string": null', {}),
        ('"closed": "ONE"', {"closed": "ONE"}),
        ('"closed": -1', {"closed": "NEGATIVE"}),
        ('"manyClosed": ["ONE", 2]', {"manyClosed": ["ONE", "TWO"]}),
        ('"packed": [1, 2], "unpacked": [3, 4]', {"packed": [1, 2], "unpacked": [3, 4]}),
        ('"result": {"pageUrl": "a", "number": 1}', {"result": {"pageUrl": "a", "number": 1}}),
        ('"item": [{"text": "a"}, {}]', {"item": [{"text": "a"}, {}]}),
        ('"onegroup": {"x": 1}', {"onegroup": {"x": 1}}),
        ('"oneInt32": 0', {"oneInt32": 0}),
        ('"toClosed": {"a": "ZERO"}', {"toClosed": {"a": "ZERO"}}),
        ('"all": {"required": 2}', {"all": {"required": 2}}),
        ('"[conformance.two.ext_int32]": 5', {"[conformance.two.ext_int32]": 5}),
        ('"[conformance.two.ext_int32]": null', {}),
        ('"[conformance.two.ext_strings]": ["a"]', {"[conformance.two.ext_strings]": ["a"]}),
        ('"[conformance.two.ext_inner]": {"text": "a"}', {"[conformance.two.ext_inner]": {"text": "a"}}),
        ('"[conformance.two.ext_closed]": "ONE"', {"[conformance.two.ext_closed]": "ONE"}),
        ('"[conformance.two.extgroup]": {"x": 1}', {"[conformance.two.extgroup]": {"x": 1}}),
        ('"[conformance.two.Scope.ext_scoped]": {}', {"[conformance.two.Scope.ext_scoped]": {}}),
    ],
)
def test_proto2(proto2: Dialect, fields: str, expected: Any) -> None:
    """Presence beside defaults, closed enums, groups under their names in lower case, extensions in brackets."""
    proto2.reads(f'{{"required": 1, {fields}}}', {"required": 1, **expected})


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("{}", ["required"]),
        ('{"required": null}', ["required"]),
        ('{"required": 1, "result": {}}', ["result.number"]),
        ('{"required": 1, "all": {"all": {}}}', ["all.required", "all.all.required"]),
        ('{"required": 1, "manyAll": [{"required": 1}, {}]}', ["manyAll[1].required"]),
        ('{"required": 1, "toAll": {"a": {}}}', ['toAll["a"].required']),
        ('{"required": 1, "closed": 5}', ["closed"]),
        ('{"required": 1, "closed": "FIVE"}', ["closed"]),
        ('{"required": 1, "manyClosed": [1, 5]}', ["manyClosed[1]"]),
        ('{"required": 1, "toClosed": {"a": 9}}', ['toClosed["a"]']),
        ('{"required": 1, "Result": {"number": 1}}', ["Result"]),
        ('{"required": 1, "oneInt32": 1, "onegroup": {}}', ["onegroup"]),
        ('{"required": 1, "ext_int32": 1}', ["ext_int32"]),
        ('{"required": 1, "[conformance.two.nope]": 1}', ["[conformance.two.nope]"]),
        ('{"required": 1, "[conformance.two.ext_int32]": "x"}', ["[conformance.two.ext_int32]"]),
        ('{"required": 1, "[conformance.two.ext_closed]": 9}', ["[conformance.two.ext_closed]"]),
        (
            '{"required": 1, "[conformance.two.ext_int32]": 1, "[conformance.two.ext_int32]": 1}',
            ["[conformance.two.ext_int32]"],
        ),
    ],
)
def test_what_proto2_refuses(proto2: Dialect, text: str, fields: list[str]) -> None:
    """Missing required fields at any depth, unknown numbers of closed enums and unknown names are rejected."""
    proto2.refuses(text, *fields)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ('"implicit": 0, "explicit": 0', {"explicit": 0}),
        ('"defaulted": 5', {"defaulted": 5}),
        ('"open": 9', {"open": 9}),
        ('"closed": "CLOSED_ONE", "manyClosed": [1]', {"closed": "CLOSED_ONE", "manyClosed": ["CLOSED_ONE"]}),
        ('"delimited": {"text": "a"}', {"delimited": {"text": "a"}}),
        ('"manyDelimited": [{}, {"text": "a"}]', {"manyDelimited": [{}, {"text": "a"}]}),
        ('"expanded": [1, 2]', {"expanded": [1, 2]}),
        ('"toInner": {"a": {}}', {"toInner": {"a": {}}}),
        ('"[conformance.editions.ext_int32]": 1', {"[conformance.editions.ext_int32]": 1}),
        ('"[conformance.editions.ext_delimited]": {}', {"[conformance.editions.ext_delimited]": {}}),
        ('"[conformance.editions.ext_open]": [0, 7]', {"[conformance.editions.ext_open]": ["OPEN_ZERO", 7]}),
    ],
)
def test_edition_2023(editions: Dialect, fields: str, expected: Any) -> None:
    """Presence, enums and encodings are those of each field, independently of the default of the file."""
    editions.reads(f'{{"required": 0, {fields}}}', {"required": 0, **expected})


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("{}", "required"),
        ('{"required": 1, "closed": 9}', "closed"),
        ('{"required": 1, "manyClosed": [9]}', "manyClosed[0]"),
        ('{"required": 1, "[conformance.editions.ext_delimited]": {"x": 1}}', "[conformance.editions.ext_delimited].x"),
    ],
)
def test_what_edition_2023_refuses(editions: Dialect, text: str, field: str) -> None:
    """A feature of a field holds against the file's."""
    editions.refuses(text, field)
