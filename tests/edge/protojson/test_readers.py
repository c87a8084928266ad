"""The strict ProtoJSON reader."""

import json
import math
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from protobuf import Message

from edge.contract.contract import Contract
from edge.protojson.parser import MalformedJson, parse
from edge.protojson.readers import Readers
from edge.protojson.violations import ROOT, Violations
from mesh.errors import InvalidArgument

EVERYTHING = "library.v1.Everything"


def read(contract: Contract, text: str | bytes) -> tuple[Message, dict[str, str]]:
    """Reads a text as Everything. Returns the message and the reasons of its violations by field."""
    desc = contract.registry.message(EVERYTHING)
    assert desc is not None
    violations = Violations()
    document = parse(text if isinstance(text, bytes) else text.encode())
    message = Readers(contract.registry).message(desc).read(document, ROOT, violations)
    return message, {violation.field: violation.reason for violation in violations.found}


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ('{"i32": "-5", "u64": 18446744073709551615}', {"i32": -5, "u64": "18446744073709551615"}),
        ('{"i32": 1.0, "i64": 1e18, "u32": "1e3", "s32": -0}', {"i32": 1, "i64": "1000000000000000000", "u32": 1000}),
        ('{"i64": 9007199254740993.0}', {"i64": "9007199254740993"}),
        ('{"i64": "9223372036854775807"}', {"i64": "9223372036854775807"}),
        ('{"doubleValue": "1.5", "floatValue": "NaN"}', {"doubleValue": 1.5, "floatValue": "NaN"}),
        ('{"doubleValue": "-Infinity", "floatValue": 1}', {"doubleValue": "-Infinity", "floatValue": 1}),
        ('{"floatValue": 3.4028235e38}', {"floatValue": pytest.approx(3.4028235e38)}),
        ('{"text": "\\ud83d\\ude00\\u0000", "maybe": ""}', {"text": "😀\0", "maybe": ""}),
        ('{"data": "-_8"}', {"data": "+/8="}),
        ('{"data": "+/8="}', {"data": "+/8="}),
        (
            '{"kind": "KIND_POEM", "kinds": [0, 1.0, 77]}',
            {"kind": "KIND_POEM", "kinds": ["KIND_UNSPECIFIED", "KIND_NOVEL", 77]},
        ),
        ('{"i32": null, "numbers": null, "counts": null, "inner": null, "timestamp": null, "kind": null}', {}),
        (
            '{"counts": {"a": 1, "": 2}, "names": {"-3": "x"}, "inners": {"true": {}}}',
            {"counts": {"a": 1, "": 2}, "names": {"-3": "x"}, "inners": {"true": {}}},
        ),
        ('{"choiceA": "", "choiceB": null}', {"choiceA": ""}),
        ('{"choiceC": {}}', {"choiceC": {}}),
        ('{"timestamp": "2026-01-31T09:30:00.123456789+01:30"}', {"timestamp": "2026-01-31T08:00:00.123456789Z"}),
        ('{"timestamp": "0001-01-01T00:00:00Z"}', {"timestamp": "0001-01-01T00:00:00Z"}),
        ('{"timestamp": "9999-12-31T23:59:59.999999999Z"}', {"timestamp": "9999-12-31T23:59:59.999999999Z"}),
        ('{"duration": "-0.5s"}', {"duration": "-0.500s"}),
        ('{"duration": "315576000000s"}', {"duration": "315576000000s"}),
        ('{"fieldMask": "i32,inner.text,wrappedInt"}', {"fieldMask": "i32,inner.text,wrappedInt"}),
        (
            '{"struct": {"a": [1, null, {"b": true}]}, "value": null}',
            {"struct": {"a": [1, None, {"b": True}]}, "value": None},
        ),
        ('{"listValue": ["x", 1.5], "nothing": null}', {"listValue": ["x", 1.5]}),
        (
            '{"wrappedInt": 0, "wrappedBool": false, "wrappedString": "", "wrappedBytes": ""}',
            {"wrappedInt": 0, "wrappedBool": False, "wrappedString": "", "wrappedBytes": ""},
        ),
        ('{"renamed": "a"}', {"otherName": "a"}),
        ('{"any": {}}', {"any": {}}),
        (
            '{"any": {"text": "x", "@type": "x/library.v1.Inner"}}',
            {"any": {"@type": "x/library.v1.Inner", "text": "x"}},
        ),
        (
            '{"any": {"@type": "x/google.protobuf.Duration", "value": "1s"}}',
            {"any": {"@type": "x/google.protobuf.Duration", "value": "1s"}},
        ),
    ],
)
def test_what_protojson_allows_is_read(library: Contract, text: str, written: Any) -> None:
    """The reader accepts both spellings, numbers in strings, exact exponents, null as absence, and well-known types."""
    message, violations = read(library, text)
    assert violations == {}
    assert json.loads(message.to_json(registry=library.registry)) == written


@pytest.mark.parametrize(
    ("number", "sign"), [("-0", -1.0), ("-0 ", -1.0), ("-0.0", -1.0), ('"-0"', -1.0), ("0", 1.0), ("-0.5e-400", -1.0)]
)
def test_a_negative_zero_keeps_its_sign(library: Contract, number: str, sign: float) -> None:
    """A double has two zeros: IEEE 754, section 3.3. Other numbers beside it are read as ever."""
    message, reasons = read(library, f'{{"i32": -10, "counts": {{"a": 20}}, "doubleValue": {number}}}')
    written = json.loads(message.to_json(registry=library.registry))
    assert (reasons, written["i32"]) == ({}, -10)
    assert math.copysign(1.0, written.get("doubleValue", 0.0)) == sign


@pytest.mark.parametrize(
    ("text", "reason", "fields"),
    [
        ('{"i32": "1_000", "i64": "+1", "u32": " 1", "u64": "٣", "s32": "01"}', "INVALID_VALUE", "i32 i64 u32 u64 s32"),
        ('{"i32": true, "i64": [], "u32": {}, "u64": "", "s32": 1.5}', "INVALID_VALUE", "i32 i64 u32 u64 s32"),
        ('{"f64": "0x1", "flag": 1}', "INVALID_VALUE", "f64 flag"),
        ('{"i32": 2147483648, "i64": -9223372036854775809, "u32": -1}', "OUT_OF_RANGE", "i32 i64 u32"),
        ('{"u64": 1e30, "s32": "1e999999999"}', "OUT_OF_RANGE", "u64 s32"),
        ('{"u32": "1e-99999999999999999999999", "i64": "1e99999999999999999999999"}', "OUT_OF_RANGE", "u32 i64"),
        ('{"i32": 1e-999999999999, "i64": 1e-999999999999999999}', "INVALID_VALUE", "i32 i64"),
        ('{"floatValue": 1e39, "doubleValue": 1e400, "value": 1e400}', "OUT_OF_RANGE", "floatValue doubleValue value"),
        ('{"floatValue": "inf", "doubleValue": "1."}', "INVALID_VALUE", "floatValue doubleValue"),
        ('{"floatValue": false, "doubleValue": "nan"}', "INVALID_VALUE", "floatValue doubleValue"),
        ('{"flag": "true", "text": 1, "maybe": "\\ud800"}', "INVALID_VALUE", "flag text maybe"),
        ('{"data": "@@@@", "wrappedBytes": "A", "inner": 1}', "INVALID_VALUE", "data wrappedBytes inner"),
        ('{"data": "AA=", "wrappedBytes": "-_+/"}', "INVALID_VALUE", "data wrappedBytes"),
        ('{"kind": "kind_poem", "kinds": [true, "1", 1e11]}', "INVALID_VALUE", "kind kinds[0] kinds[1] kinds[2]"),
        ('{"numbers": [1, null, "x"], "strings": "a"}', "INVALID_VALUE", "numbers[1] numbers[2] strings"),
        ('{"list": [null, {"number": "x"}]}', "INVALID_VALUE", "list[0] list[1].number"),
        ('{"counts": {"a": null, "b": "x"}}', "INVALID_VALUE", 'counts["a"] counts["b"]'),
        ('{"names": {"x": "y"}, "inners": {"True": {}}}', "INVALID_VALUE", 'names["x"] inners["True"]'),
        ('{"nope": 1, "inner": {"nope": {"deep": [1]}}}', "FIELD_UNKNOWN", "nope inner.nope"),
        ('{"i32": 1, "i32": 1, "inner": {"text": "", "text": ""}}', "FIELD_GIVEN_TWICE", "i32 inner.text"),
        ('{"counts": {"a": 1, "a": 2}}', "FIELD_GIVEN_TWICE", 'counts["a"]'),
        ('{"names": {"1": "", "1.0": ""}}', "FIELD_GIVEN_TWICE", 'names["1.0"]'),
        ('{"doubleValue": 1, "double_value": 1}', "FIELD_GIVEN_TWICE", "double_value"),
        ('{"renamed": "", "otherName": ""}', "FIELD_GIVEN_TWICE", "renamed"),
        ('{"struct": {"a": 1, "a": 2}}', "FIELD_GIVEN_TWICE", 'struct["a"]'),
        ('{"choiceA": "x", "choiceB": 0}', "ONEOF_GIVEN_TWICE", "choiceB"),
        ('{"timestamp": "2026-02-30T00:00:00Z", "duration": "1"}', "INVALID_VALUE", "timestamp duration"),
        ('{"timestamp": "2026-01-01t00:00:00z", "duration": ".5s"}', "INVALID_VALUE", "timestamp duration"),
        ('{"timestamp": "2026-01-01T24:00:00Z", "duration": "1.1234567890s"}', "INVALID_VALUE", "timestamp duration"),
        ('{"timestamp": "2026-01-01T00:00:00+01:99", "duration": "+1s"}', "INVALID_VALUE", "timestamp duration"),
        ('{"timestamp": "9999-12-31T23:59:59-00:01"}', "OUT_OF_RANGE", "timestamp"),
        ('{"duration": "315576000001s"}', "OUT_OF_RANGE", "duration"),
        ('{"fieldMask": "a_b", "wrappedInt": {"value": 1}}', "INVALID_VALUE", "fieldMask wrappedInt"),
        (
            '{"fieldMask": {"paths": []}, "nothing": 1, "wrappedBool": 0}',
            "INVALID_VALUE",
            "fieldMask nothing wrappedBool",
        ),
        ('{"listValue": {}, "struct": []}', "INVALID_VALUE", "listValue struct"),
        ('{"value": ["\\udfff"]}', "INVALID_VALUE", "value[0]"),
        ('{"any": {"i32": 1}}', "INVALID_VALUE", "any.@type"),
        ('{"any": {"@type": "x/no.Such"}}', "TYPE_UNKNOWN", "any.@type"),
        ('{"any": {"@type": "library.v1.Inner"}}', "TYPE_UNKNOWN", "any.@type"),
        ('{"any": {"@type": "x/library.v1.Inner", "nope": 1}}', "FIELD_UNKNOWN", "any.nope"),
        ('{"any": {"@type": "x/library.v1.Inner", "number": "x"}}', "INVALID_VALUE", "any.number"),
        ('{"any": {"@type": "x/google.protobuf.Duration", "value": "1"}}', "INVALID_VALUE", "any.value"),
        ('{"any": {"@type": "x/google.protobuf.Duration", "value": "1s", "x": 1}}', "FIELD_UNKNOWN", "any.x"),
        ('{"any": {"@type": "x/google.protobuf.Duration"}}', "INVALID_VALUE", "any.value"),
        ("[1]", "INVALID_VALUE", "body"),
    ],
)
def test_every_violation_has_its_path(library: Contract, text: str, reason: str, fields: str) -> None:
    """Invalid values are neither coerced nor dropped, and the first violation does not hide the others."""
    assert read(library, text)[1] == dict.fromkeys(fields.split(), reason)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "expecting value (line 1, column 1)"),
        (b'{"a": 1, 2}', "expecting property name enclosed in double quotes (line 1, column 10)"),
        (b'{"a": 01}', "expecting ',' delimiter (line 1, column 8)"),
        (b'\n\n{"a" 1}', "expecting ':' delimiter (line 3, column 6)"),
        (b"{} {}", "extra data (line 1, column 4)"),
        (b'{"a": "\t"}', "invalid control character (line 1, column 8)"),
        (b"\xef\xbb\xbf{}", "expecting value (line 1, column 1)"),
        (b'{"a": "\xed\xa0\x80"}', "not valid UTF-8: byte 7"),
        ('{"a": 1}'.encode("utf-16"), "not valid UTF-8: byte 0"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": -Infinity}', "-Infinity is not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "too many digits"),
        (b'{"a": 1e' + b"9" * 30 + b"}", "an exponent that is too large"),
    ],
)
def test_an_error_in_a_document_has_its_position(body: bytes, why: str) -> None:
    """The message names the line and the column of a syntax error, so that its author can find it."""
    with pytest.raises(MalformedJson, match=re.escape(why)):
        parse(body)


@pytest.mark.parametrize(
    "text",
    [
        '{"deeper": ' * 70 + "{}" + "}" * 70,
        '{"list": [{"text": "", "number": 0}], "value": ' + "[" * 70 + "]" * 70 + "}",
        '{"struct": ' + '{"a": ' * 70 + "1" + "}" * 71,
        '{"any": ' + '{"@type": "x/library.v1.Everything", "any": ' * 70 + "{}" + "}" * 71,
    ],
)
def test_nesting_depth_is_limited(library: Contract, text: str) -> None:
    """The depth limit counts recursion through messages, lists, Struct and Any."""
    assert set(read(library, text)[1].values()) == {"NESTED_TOO_DEEPLY"}


def test_the_number_of_violations_is_limited(library: Contract) -> None:
    """A body full of errors produces a response of limited size."""
    text = json.dumps({"numbers": ["x"] * 10_000})
    with pytest.raises(InvalidArgument) as caught:
        read(library, text)
    assert [violation.field for violation in caught.value.violations] == [f"numbers[{index}]" for index in range(100)]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
NAMES = (
    "i32 i64 u32 u64 s32 f64 floatValue double_value flag text data kind maybe numbers strings kinds counts names",
    "inners inner list choiceA choiceB choiceC timestamp duration fieldMask struct value listValue any wrappedInt",
    "wrapped_string wrappedBool wrappedBytes nothing deeper wrappedLong otherName",
)
names = st.sampled_from([name for line in NAMES for name in line.split()])
texts = st.sampled_from(
    ["1", "-1.5", "NaN", "1e3", "1e" + "9" * 30, "KIND_POEM", "2026-01-31T09:30:00Z", "1.5s", "AA==", "a,b", "true"]
)
likely = st.dictionaries(
    names, texts | json_values | st.lists(texts, max_size=2) | st.dictionaries(texts, texts), max_size=4
)


def test_accepted_documents_mean_the_same_to_protobuf(library: Contract) -> None:
    """google.protobuf reads every accepted document as the same message, which survives a round trip."""

    @given(likely)
    @example({"counts": {"1": "1"}})
    def check(document: dict[str, Any]) -> None:
        text = json.dumps(document)
        message, violations = read(library, text)
        if not violations:
            theirs = type(message).from_json(text, registry=library.registry)
            again = message.to_json(registry=library.registry)
            assert again == theirs.to_json(registry=library.registry)
            assert read(library, again)[0].to_json(registry=library.registry) == again

    check()


def test_no_body_breaks_the_reader(library: Contract) -> None:
    """Any bytes produce a message, a MalformedJson or a list of violations, and no other exception."""

    @given(st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()))
    def check(body: bytes) -> None:
        malformed = ""
        try:
            read(library, body)
        except MalformedJson as error:
            malformed = str(error)
        assert not malformed or malformed.endswith(".")

    check()
