"""JSON into messages, rule by rule of https://protobuf.dev/programming-guides/json/, beside Google's implementation."""

import json
from typing import Any, Final

import pytest

from edge.protojson.parser import MalformedJson
from tests.conformance.dialect import Dialect

INTEGERS: Final = {
    **dict.fromkeys(("int32", "sint32", "sfixed32"), (-(2**31), 2**31 - 1)),
    **dict.fromkeys(("int64", "sint64", "sfixed64"), (-(2**63), 2**63 - 1)),
    **dict.fromkeys(("uint32", "fixed32"), (0, 2**32 - 1)),
    **dict.fromkeys(("uint64", "fixed64"), (0, 2**64 - 1)),
}


def written(name: str, number: int) -> dict[str, Any]:
    """The JSON of a message with this number: none for zero, a string for 64 bits."""
    return {} if number == 0 else {name: str(number) if name.endswith("64") else number}


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_have_their_types_range(proto3: Dialect, name: str) -> None:
    """Integers may be numbers or strings, with a zero fraction or an exponent; beyond either end they are rejected."""
    least, greatest = INTEGERS[name]
    for number in (least, greatest, 0, 1):
        for text in (f"{number}", f'"{number}"', f"{number}.0", f'"{number}.00"', f"{number}e0", f'"{number}E+0"'):
            if "64" not in name or not ("." in text or "e" in text.lower()):  # Google rounds these to 53 bits
                proto3.reads(f'{{"{name}": {text}}}', written(name, number))
    for number in (least - 1, greatest + 1, -(10**20), 10**20):
        for text in (f"{number}", f'"{number}"', f"{number}.0", f'"{number}e0"'):
            proto3.refuses(f'{{"{name}": {text}}}', name)


@pytest.mark.parametrize("name", ["int64", "uint64", "fixed64", "sfixed64", "sint64"])
def test_no_digit_of_64_bits_is_lost(proto3: Dialect, name: str) -> None:
    """A fraction of zeros or an exponent does not send a number through a 64-bit float."""
    for text in ("9007199254740993.0", "900719925474099300e-2", '"9.007199254740993e15"'):
        assert proto3.accepts(f'{{"{name}": {text}}}') == {name: "9007199254740993"}


@pytest.mark.parametrize("name", INTEGERS)
def test_what_is_no_integer_is_refused(proto3: Dialect, name: str) -> None:
    """Fractions, booleans, containers, and texts that only a lenient parser takes."""
    numbers = ["1.5", "1e-1", "true", "[]", "{}", "[1]"]
    texts = ["", " 1", "1 ", "+1", "01", "0x1", "1_0", "1a", "-", "1.", ".5", "1e", "NaN", "Infinity", "null", "٣"]
    for value in (*numbers, *map(json.dumps, texts)):
        proto3.refuses(f'{{"{name}": {value}}}', name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"double": 1.7976931348623157e308}', {"double": 1.7976931348623157e308}),
        ('{"double": -1.7976931348623157e308}', {"double": -1.7976931348623157e308}),
        ('{"double": 5e-324}', {"double": 5e-324}),
        ('{"double": 1e-400}', {}),
        ('{"double": "1.5"}', {"double": 1.5}),
        ('{"double": "-1E+2"}', {"double": -100.0}),
        ('{"double": 0.1}', {"double": 0.1}),
        ('{"double": 9007199254740993}', {"double": 9007199254740992}),
        ('{"double": "Infinity"}', {"double": "Infinity"}),
        ('{"double": "-Infinity"}', {"double": "-Infinity"}),
        ('{"double": "NaN", "float": "NaN"}', {"double": "NaN", "float": "NaN"}),
        ('{"float": "Infinity"}', {"float": "Infinity"}),
        ('{"float": "-Infinity"}', {"float": "-Infinity"}),
        ('{"float": 1.5}', {"float": 1.5}),
        ('{"float": 16777217}', {"float": 16777216}),
        ('{"float": 1e-50}', {}),
        ('{"double": -0.0, "float": "-0"}', {"double": -0.0, "float": -0.0}),
        ('{"maybeDouble": 0}', {"maybeDouble": 0}),
    ],
)
def test_floats(proto3: Dialect, text: str, expected: Any) -> None:
    """The ends of the range, the three names, rounding to the nearest, a negative zero that is no default."""
    proto3.reads(text, expected)


def test_the_greatest_float_is_a_float(proto3: Dialect) -> None:
    """3.4028235e38 is how it is written, though the nearest 64-bit number is a little more. Google refuses it."""
    for value in ("3.4028235e38", "-3.4028235e38", '"3.40282346638528859e+38"'):
        assert abs(proto3.accepts(f'{{"float": {value}}}')["float"]) == 3.4028235e38


@pytest.mark.parametrize("name", ["float", "double"])
def test_what_is_no_float_is_refused(proto3: Dialect, name: str) -> None:
    """Overflow to infinity, booleans, and names in another spelling."""
    for text in ("1e400", "-1e400", "true", "[]", '"1e400"', '"nan"', '"inf"', '"+Infinity"', '"1."', '".5"', '" 1"'):
        proto3.refuses(f'{{"{name}": {text}}}', name)
    for text in ("NaN", "Infinity", "-Infinity"):
        with pytest.raises(MalformedJson):
            proto3.read(f'{{"{name}": {text}}}')
    for text in ("3.4028236e38", "1e39", '"-1e39"'):
        proto3.refuses(f'{{"float": {text}}}', "float")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"bool": true, "manyBool": [true, false]}', {"bool": True, "manyBool": [True, False]}),
        ('{"string": "\\u0000\\b\\f\\n\\r\\t\\"\\\\\\/"}', {"string": '\0\b\f\n\r\t"\\/'}),
        ('{"string": "\\ud83d\\ude00\\uD83D\\uDE00😀"}', {"string": "😀😀😀"}),
        ('{"string": "\\u00e9é\\u2028\\ufeff\\uffff"}', {"string": "éé\u2028\ufeff\uffff"}),
        ('{"bytes": "AQI="}', {"bytes": "AQI="}),
        ('{"bytes": "AQI"}', {"bytes": "AQI="}),
        ('{"bytes": "-_"}', {"bytes": "+w=="}),
        ('{"bytes": "+/8="}', {"bytes": "+/8="}),
        ('{"bytes": "-_8"}', {"bytes": "+/8="}),
        ('{"oneBytes": ""}', {"oneBytes": ""}),
        ('{"color": "RED"}', {"color": "RED"}),
        ('{"color": 1, "manyColor": [-1, 1.0, 1e0]}', {"color": "RED", "manyColor": ["NEGATIVE", "RED", "RED"]}),
        ('{"color": 7, "toColor": {"a": -2147483648}}', {"color": 7, "toColor": {"a": -2147483648}}),
        ('{"inner": {}}', {"inner": {}}),
        ('{"inner": {"text": "a"}, "all": {"all": {}}}', {"inner": {"text": "a"}, "all": {"all": {}}}),
        ('{"maybeInt32": 0, "maybeString": ""}', {"maybeInt32": 0, "maybeString": ""}),
        ('{"maybeColor": 0}', {"maybeColor": "COLOR_UNSPECIFIED"}),
        ('{"int32": 0, "string": "", "bool": false, "manyInt32": [], "ofString": {}}', {}),
        ('{"manyInner": [{}, {"number": 1}]}', {"manyInner": [{}, {"number": 1}]}),
        (
            '{"fieldname1": 1, "fieldName2": 2, "FieldName3": 3, "fieldName4": 4, "field0name5": 5, "field0Name6": 6}',
            {"fieldname1": 1, "fieldName2": 2, "FieldName3": 3, "fieldName4": 4, "field0name5": 5, "field0Name6": 6},
        ),
        ('{"fieldName7": 7, "FieldName8": 8, "FIELDNAME9": 9}', {"fieldName7": 7, "FieldName8": 8, "FIELDNAME9": 9}),
        ('{"_field_name3": 3, "field__name4_": 4}', {"FieldName3": 3, "fieldName4": 4}),
        ('{"a b-c": 1}', {"a b-c": 1}),
        ('{"renamed": 1}', {"a b-c": 1}),
    ],
)
def test_other_values(proto3: Dialect, text: str, expected: Any) -> None:
    """Booleans, strings, bytes in either base64, enums by name and number, presence, names."""
    proto3.reads(text, expected)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("bool", ["1", "0", '"true"', '"false"', '"True"', "[]"]),
        ("string", ["1", "true", "[]", "{}", '"\\ud83d"', '"\\ude00"', '"\\ude00\\ud83d"', '"a\\ud800"']),
        ("bytes", ["1", "[]", '"@@@@"', '"A"', '"AA="', '"AA==="', '"AA==AA=="', '" AA=="', '"="', '"+_8"']),
        ("color", ['"red"', '"NOPE"', '""', '"1"', "1.5", "true", "[]", "2147483648", "-2147483649", "1e400"]),
        ("inner", ["1", '""', "[]", "true"]),
        ("manyInt32", ["1", "{}", '"1"', "true"]),
        ("ofInt32", ["1", "[]", '"1"', "[{}]"]),
        ("empty", ["1", "[]", '""']),
    ],
)
def test_a_value_of_another_kind_is_refused(proto3: Dialect, field: str, values: list[str]) -> None:
    """No value is coerced, even where a lenient parser would."""
    for value in values:
        proto3.refuses(f'{{"{field}": {value}}}', field)


@pytest.mark.parametrize("number", INTEGERS)
def test_maps_with_keys_of_every_integer(proto3: Dialect, number: str) -> None:
    """Keys are strings of their type's range, each once however it is written."""
    name, (least, greatest) = f"of{number.capitalize()}", INTEGERS[number]
    value: Any = "1" if number.endswith("64") else 1
    document = {name: {str(key): value for key in {least, 0, 1, greatest}}}
    proto3.reads(json.dumps(document), document)
    for key in (str(least - 1), str(greatest + 1), "", " 1", "+1", "01", "1.5", "x", "true"):
        proto3.refuses(json.dumps({name: {key: 1}}), f'{name}["{key}"]')
    proto3.refuses(f'{{"{name}": {{"1": 1, "1.0": 1}}}}', f'{name}["1.0"]')
    proto3.refuses(f'{{"{name}": {{"1": null}}}}', f'{name}["1"]')


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"ofBool": {"true": false, "false": true}}', {"ofBool": {"true": False, "false": True}}),
        ('{"ofString": {"": "", "a.b": "\\u0000"}}', {"ofString": {"": "", "a.b": "\0"}}),
        ('{"toBytes": {"a": "AA"}, "toInner": {"a": {}}}', {"toBytes": {"a": "AA=="}, "toInner": {"a": {}}}),
        ('{"toFloat": {"a": "NaN", "b": 0}}', {"toFloat": {"a": "NaN", "b": 0}}),
        ('{"toValue": {"a": null, "b": [1]}}', {"toValue": {"a": None, "b": [1]}}),
        ('{"toTimestamp": {"a": "1970-01-01T00:00:00Z"}}', {"toTimestamp": {"a": "1970-01-01T00:00:00Z"}}),
    ],
)
def test_other_maps(proto3: Dialect, text: str, expected: Any) -> None:
    """Keys of booleans and strings, values of every kind."""
    proto3.reads(text, expected)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"ofBool": {"True": true}}', 'ofBool["True"]'),
        ('{"ofBool": {"1": true}}', 'ofBool["1"]'),
        ('{"ofString": {"a": null}}', 'ofString["a"]'),
        ('{"toInner": {"a": null}}', 'toInner["a"]'),
        ('{"toTimestamp": {"a": null}}', 'toTimestamp["a"]'),
        ('{"ofString": {"a": "", "a": ""}}', 'ofString["a"]'),
        ('{"ofString": {"\\ud800": ""}}', 'ofString["?"]'),
    ],
)
def test_wrong_entries_of_maps(proto3: Dialect, text: str, field: str) -> None:
    """An entry needs a value, a key of its type, and no twin."""
    proto3.refuses(text, field)


def test_null_is_the_absence_of_every_field(proto3: Dialect) -> None:
    """Null unsets every field except those that can hold it: google.protobuf.Value and NullValue."""
    for field in proto3.all.DESCRIPTOR.fields:
        kept = field.json_name in ("value", "oneValue", "oneNull")
        assert proto3.accepts(f'{{"{field.json_name}": null}}') == ({field.json_name: None} if kept else {})


@pytest.mark.parametrize(
    "many", ["Int32", "String", "Color", "Inner", "Bytes", "Double", "Bool", "BoolValue", "Duration", "Any"]
)
def test_null_is_no_element(proto3: Dialect, many: str) -> None:
    """Null in a list is rejected, unless the elements can be null."""
    proto3.refuses(f'{{"many{many}": [null]}}', f"many{many}[0]")


def test_null_is_an_element_of_what_can_be_null(proto3: Dialect) -> None:
    """Lists of google.protobuf.Value and of NullValue. Google's implementation refuses the latter."""
    proto3.reads('{"manyValue": [null, 1]}', {"manyValue": [None, 1]})
    assert proto3.accepts('{"manyNull": [null]}') == {"manyNull": [None]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"oneInt32": 0}', {"oneInt32": 0}),
        ('{"oneInner": {}}', {"oneInner": {}}),
        ('{"oneColor": 0}', {"oneColor": "COLOR_UNSPECIFIED"}),
        ('{"oneInt32": null, "oneString": "a"}', {"oneString": "a"}),
        ('{"oneString": "a", "oneInt32": null}', {"oneString": "a"}),
        ('{"oneNull": null}', {"oneNull": None}),
        ('{"oneNull": "NULL_VALUE"}', {"oneNull": None}),
        ('{"oneValue": null}', {"oneValue": None}),
        ('{"oneValue": {"a": 1}}', {"oneValue": {"a": 1}}),
    ],
)
def test_oneofs(proto3: Dialect, text: str, expected: Any) -> None:
    """A member is set with its default too, and null sets none."""
    proto3.reads(text, expected)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"oneInt32": 1, "oneString": "a"}', "oneString"),
        ('{"oneInt32": 0, "oneInner": {}}', "oneInner"),
        ('{"oneNull": null, "oneInt32": 1}', "oneInt32"),
        ('{"oneInt32": 1, "oneInt32": 1}', "oneInt32"),
        ('{"one_int32": 1, "oneInt32": 1}', "one_int32"),
        ('{"int32": 1, "int32": 1}', "int32"),
        ('{"inner": {"text": "a", "text": "a"}}', "inner.text"),
        ('{"renamed": 1, "a b-c": 1}', "renamed"),
        ('{"nope": 1}', "nope"),
        ('{"nope": null}', "nope"),
        ('{"@type": "x"}', "@type"),
        ('{"Int32": 1}', "Int32"),
        ('{"inner": {"int32": 1}}', "inner.int32"),
        ('{"empty": {"a": 1}}', "empty.a"),
    ],
)
def test_what_is_given_twice_or_unknown_is_refused(proto3: Dialect, text: str, field: str) -> None:
    """Two members of a oneof, one field under one or two names, and names that the contract does not have."""
    proto3.refuses(text, field)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"1970-01-01T00:00:00Z"', "1970-01-01T00:00:00Z"),
        ('"0001-01-01T00:00:00Z"', "0001-01-01T00:00:00Z"),
        ('"9999-12-31T23:59:59.999999999Z"', "9999-12-31T23:59:59.999999999Z"),
        ('"1969-12-31T23:59:59.5Z"', "1969-12-31T23:59:59.500Z"),
        ('"1970-01-01T00:00:00.1Z"', "1970-01-01T00:00:00.100Z"),
        ('"1970-01-01T00:00:00.01Z"', "1970-01-01T00:00:00.010Z"),
        ('"1970-01-01T00:00:00.000001Z"', "1970-01-01T00:00:00.000001Z"),
        ('"1970-01-01T00:00:00.000000001Z"', "1970-01-01T00:00:00.000000001Z"),
        ('"1970-01-01T00:00:00.100000000Z"', "1970-01-01T00:00:00.100Z"),
        ('"1970-01-01T08:00:00+08:00"', "1970-01-01T00:00:00Z"),
        ('"1970-01-01T00:00:00-08:00"', "1970-01-01T08:00:00Z"),
        ('"1970-01-01T00:00:00-00:00"', "1970-01-01T00:00:00Z"),
        ('"9999-12-31T23:59:59+00:01"', "9999-12-31T23:58:59Z"),
        ('"2000-02-29T00:00:00Z"', "2000-02-29T00:00:00Z"),
    ],
)
def test_timestamps(proto3: Dialect, text: str, expected: str) -> None:
    """RFC 3339 with any offset, from the first second of the year 1 to the last nanosecond of the year 9999."""
    proto3.reads(f'{{"timestamp": {text}}}', {"timestamp": expected})


@pytest.mark.parametrize(
    "text",
    [
        *("", "1970-01-01", "1970-01-01T00:00:00", "1970-01-01T00:00Z", "1970-01-01 00:00:00Z", "1970-1-1T00:00:00Z"),
        *("1970-01-01t00:00:00Z", "1970-01-01T00:00:00z", "1970-01-01T00:00:60Z", "1970-01-01T24:00:00Z"),
        *("1970-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "1970-13-01T00:00:00Z", "1970-00-01T00:00:00Z"),
        *("1970-01-01T00:00:00.Z", "1970-01-01T00:00:00,5Z", "1970-01-01T00:00:00.0000000001Z"),
        *("1970-01-01T00:00:00+0800", "1970-01-01T00:00:00+08", "1970-01-01T00:00:00+24:00"),
        *("0000-12-31T23:59:59Z", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "10000-01-01T00:00:00Z"),
        *("1970-01-01T00:00:00Z ", "1970-01-01T00:00:00+08:60", "٢٠٢٦-01-01T00:00:00Z", "0"),
    ],
)
def test_what_is_no_timestamp_is_refused(proto3: Dialect, text: str) -> None:
    """Another syntax, days and hours that do not exist, and moments beyond the range, also by their offset."""
    proto3.refuses(json.dumps({"timestamp": text}), "timestamp")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0s", "0s"),
        ("1s", "1s"),
        ("-1s", "-1s"),
        ("1.5s", "1.500s"),
        ("-1.5s", "-1.500s"),
        ("-0.5s", "-0.500s"),
        ("0.000001s", "0.000001s"),
        ("0.000000001s", "0.000000001s"),
        ("-0.000000001s", "-0.000000001s"),
        ("1.100000000s", "1.100s"),
        ("315576000000s", "315576000000s"),
        ("-315576000000s", "-315576000000s"),
        ("-0s", "0s"),
    ],
)
def test_durations(proto3: Dialect, text: str, expected: str) -> None:
    """Seconds with up to nine digits of fraction, the sign for both parts, ten thousand years either way."""
    proto3.reads(json.dumps({"duration": text}), {"duration": expected})


@pytest.mark.parametrize(
    "text",
    [
        *("", "s", "1", "1 s", "1S", "+1s", "--1s", "1.s", ".5s", "1.0000000001s", "1e3s", "1.-5s", "0x1s"),
        *("315576000001s", "-315576000001s", "٣s"),
    ],
)
def test_what_is_no_duration_is_refused(proto3: Dialect, text: str) -> None:
    """Another syntax, more than nanoseconds, or more than ten thousand years."""
    proto3.refuses(json.dumps({"duration": text}), "duration")


def test_a_duration_ends_with_its_range(proto3: Dialect) -> None:
    """google/protobuf/duration.proto: the limit is on the seconds, and a fraction may follow."""
    assert proto3.accepts('{"duration": "315576000000.999999999s"}') == {"duration": "315576000000.999999999s"}


@pytest.mark.parametrize(
    "text",
    ["", "a", "a,b", "fooBar", "fooBar.bazQux,a.b.c", "a1", "foo3Bar", "*", "a.*", "labels.a-b", "labels.`a b/c`.x"],
)
def test_field_masks(proto3: Dialect, text: str) -> None:
    """Paths in lowerCamelCase become snake_case and come back; keys of maps may be any text (AIP-161)."""
    proto3.reads(json.dumps({"fieldMask": text}), {"fieldMask": text})


@pytest.mark.parametrize(
    "text", ["foo_bar", "a.`b_c`", "a.`b", "`a`", "a,,b", "a,", ",a", "a..b", ".a", "a.", "a b", " a"]
)
def test_what_is_no_field_mask_is_refused(proto3: Dialect, text: str) -> None:
    """An underscore would not come back; empty paths and names are none."""
    proto3.refuses(json.dumps({"fieldMask": text}), "fieldMask")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"value": null}', {"value": None}),
        ('{"value": true}', {"value": True}),
        ('{"value": 1.5}', {"value": 1.5}),
        ('{"value": 123456789012345678901234567890}', {"value": 1.2345678901234568e29}),
        ('{"value": "NaN"}', {"value": "NaN"}),
        ('{"value": []}', {"value": []}),
        ('{"value": {}}', {"value": {}}),
        ('{"value": {"a": [1, "x", true, null, {"": {}}]}}', {"value": {"a": [1, "x", True, None, {"": {}}]}}),
        ('{"struct": {}}', {"struct": {}}),
        ('{"struct": {"a": null, "@type": "x"}}', {"struct": {"a": None, "@type": "x"}}),
        ('{"listValue": []}', {"listValue": []}),
        ('{"listValue": [[], {}, null]}', {"listValue": [[], {}, None]}),
        ('{"null": null, "manyValue": [null, false]}', {"manyValue": [None, False]}),
        ('{"empty": {}}', {"empty": {}}),
        (
            '{"boolValue": false, "int32Value": 0, "int64Value": "0", "stringValue": "", "bytesValue": ""}',
            {"boolValue": False, "int32Value": 0, "int64Value": "0", "stringValue": "", "bytesValue": ""},
        ),
        (
            '{"uint32Value": 4294967295, "uint64Value": 18446744073709551615, "floatValue": "NaN"}',
            {"uint32Value": 4294967295, "uint64Value": "18446744073709551615", "floatValue": "NaN"},
        ),
        ('{"doubleValue": "-Infinity"}', {"doubleValue": "-Infinity"}),
        ('{"manyBoolValue": [true, false]}', {"manyBoolValue": [True, False]}),
    ],
)
def test_values_structs_and_wrappers(proto3: Dialect, text: str, expected: Any) -> None:
    """Any JSON is a Value; a wrapper is the JSON of what it wraps, the default too."""
    proto3.reads(text, expected)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"value": 1e400}', "value"),
        ('{"value": [{"a": 1e400}]}', 'value[0]["a"]'),
        ('{"value": {"a": "\\ud800"}}', 'value["a"]'),
        ('{"struct": []}', "struct"),
        ('{"struct": {"a": 1, "a": 1}}', 'struct["a"]'),
        ('{"listValue": {}}', "listValue"),
        ('{"int32Value": {"value": 1}}', "int32Value"),
        ('{"floatValue": 1e39}', "floatValue"),
        ('{"uint64Value": -1}', "uint64Value"),
        ('{"null": 1}', "null"),
        ('{"null": "null"}', "null"),
    ],
)
def test_wrong_values_structs_and_wrappers(proto3: Dialect, text: str, field: str) -> None:
    """Numbers that JSON's peers can't write, halves of characters, other kinds."""
    proto3.refuses(text, field)


TYPE: Final = "type.googleapis.com"
INNER: Final = f'"@type": "{TYPE}/conformance.v1.Inner"'


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        f"{{{INNER}}}",
        f'{{{INNER}, "text": "a", "number": 1}}',
        f'{{"text": "a", {INNER}}}',
        f'{{"@type": "{TYPE}/google.protobuf.Int32Value", "value": 5}}',
        f'{{"@type": "{TYPE}/google.protobuf.BytesValue", "value": "AA=="}}',
        f'{{"@type": "{TYPE}/google.protobuf.Duration", "value": "1.500s"}}',
        f'{{"@type": "{TYPE}/google.protobuf.Timestamp", "value": "1970-01-01T00:00:00Z"}}',
        f'{{"@type": "{TYPE}/google.protobuf.FieldMask", "value": "fooBar,a"}}',
        f'{{"@type": "{TYPE}/google.protobuf.Struct", "value": {{"a": 1}}}}',
        f'{{"@type": "{TYPE}/google.protobuf.Value", "value": {{"a": 1}}}}',
        f'{{"@type": "{TYPE}/google.protobuf.Value", "value": null}}',
        f'{{"@type": "{TYPE}/google.protobuf.ListValue", "value": [1]}}',
        f'{{"@type": "{TYPE}/google.protobuf.Empty"}}',
        f'{{"@type": "{TYPE}/google.protobuf.Any", "value": {{{INNER}, "text": "a"}}}}',
        f'{{"@type": "{TYPE}/conformance.v1.All", "any": {{{INNER}}}, "value": null}}',
        '{"@type": "x.example/a/conformance.v1.Inner", "text": "a"}',
    ],
)
def test_any_holds_every_type(proto3: Dialect, text: str) -> None:
    """A message's fields are beside "@type", wherever that stands; a value that is not an object is under "value"."""
    proto3.reads(f'{{"any": {text}}}', {"any": json.loads(text)})


def test_an_empty_in_any_may_have_a_value(proto3: Dialect) -> None:
    """Go's implementation writes one; the others leave it out, as google/protobuf/any.proto can be read too."""
    read = proto3.accepts(f'{{"any": {{"@type": "{TYPE}/google.protobuf.Empty", "value": {{}}}}}}')
    assert read == {"any": {"@type": f"{TYPE}/google.protobuf.Empty"}}


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"text": "a"}', "any.@type"),
        ('{"@type": ""}', "any.@type"),
        ('{"@type": 1}', "any.@type"),
        ('{"@type": null, "text": "a"}', "any.@type"),
        (f'{{"@type": "{TYPE}/no.Such"}}', "any.@type"),
        (f'{{"@type": "{TYPE}/.conformance.v1.Inner"}}', "any.@type"),
        (f'{{{INNER}, "nope": 1}}', "any.nope"),
        (f'{{{INNER}, "value": {{"text": "a"}}}}', "any.value"),
        (f"{{{INNER}, {INNER}}}", "any.@type"),
        (f'{{"@type": "{TYPE}/google.protobuf.Duration"}}', "any.value"),
        (f'{{"@type": "{TYPE}/google.protobuf.Duration", "value": "1"}}', "any.value"),
        (f'{{"@type": "{TYPE}/google.protobuf.Empty", "value": 1}}', "any.value"),
        ("[]", "any"),
        ('""', "any"),
    ],
)
def test_what_is_no_any_is_refused(proto3: Dialect, text: str, field: str) -> None:
    """Without a type, with one that the contract does not have, or with what that type does not have."""
    proto3.refuses(f'{{"any": {text}}}', field)


@pytest.mark.parametrize(
    "text",
    [
        *(" ", "{", '{"int32": 1', '{"int32": 1,}', "{,}", '{"int32" 1}', '{"int32": 1} x', "{int32: 1}"),
        *(
            "{'int32': 1}",
            '{"int32": 01}',
            '{"int32": +1}',
            '{"int32": --1}',
            '{"double": .5}',
            '{"double": 1.}',
            '{"bool": True}',
        ),
        *(
            '{"manyInt32": [1,]}',
            '{"manyInt32": [1 2]}',
            '{"string": "\t"}',
            '{"string": "\\x"}',
        ),
        '{"string": "\\u12"}',
        *('{"int32": 1 /* one */}', '{"int32": 1} // one', '{"int32":\u00a01}', "\ufeff{}", '{"int32": 1}\0'),
    ],
)
def test_what_is_no_json_is_refused(proto3: Dialect, text: str) -> None:
    """RFC 8259 and nothing else: no comments, no trailing commas, no other spaces, no byte order mark."""
    with pytest.raises(MalformedJson):
        proto3.read(text)


@pytest.mark.parametrize("text", ["[]", "[{}]", "1", '"x"', "null", "true"])
def test_a_message_is_an_object(proto3: Dialect, text: str) -> None:
    """Any other JSON value is refused as the body."""
    proto3.refuses(text, "body")


@pytest.mark.parametrize("text", [b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"])
def test_json_is_utf_8(proto3: Dialect, text: bytes) -> None:
    """Stray bytes, encoded surrogates and overlong forms are refused in keys and in values."""
    for body in (b'{"string": "%s"}' % text, b'{"%s": 1}' % text):
        with pytest.raises(MalformedJson, match="UTF-8"):
            proto3.read(body)
