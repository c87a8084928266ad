"""Requests for the contract of the differential test, most of them plausible, some of them odd."""

import json
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from hypothesis import strategies as st


@dataclass(frozen=True)
class Request:
    """An HTTP request. `target` is its path and query as they are sent."""

    method: str
    target: str
    body: bytes | None = None


# Segments of paths and values of parameters: plain, to be encoded, or already encoded in an unusual way.
WORDS: Final = [
    *("a", "b", "literal", "a.b", ".", "..", "", "a b", "a/b", "€", "%", "a:verb", ":verb", "a:other", "+", "a+b"),
    *("'", "@", "a;b", "a=b", "*", "**", "{x}", "\0", "-", "~", "1", "-1", "0", "true", "false", "RED", "7", "AQI="),
]
RAW: Final = ["%", "%zz", "%2", "%ff", "%C3%28", "%41", "%2f", "%2F", "%252F", "%3Averb", "a%3averb", "$&'()*+,;=@!"]

# A valid text of each kind of field.
VALUES: Final = {
    "int32 manyInt32 many_int32 maybeInt32 all.int32 inner.number int32Value oneInt32": ["0", "-1", "2147483647"],
    "int64 sint64 sfixed64": ["9223372036854775807", "-9223372036854775808", "9007199254740993"],
    "uint32 fixed32 uint64": ["0", "4294967295", "1"],
    "float double": ["1.5", "-0", "1e3", "NaN", "Infinity", "0.1"],
    "bool boolValue manyBool": ["true", "false"],
    "string one_string all.all.string inner.text stringValue manyString oneInner.text": WORDS,
    "bytes bytesValue manyBytes": ["AQI=", "AQI", "-_8", "+/8=", ""],
    "color manyColor oneColor": ["RED", "COLOR_UNSPECIFIED", "1", "-1"],
    "timestamp": ["1970-01-01T00:00:00Z", "2026-01-31T09:30:00.5+01:00"],
    "duration manyDuration": ["1s", "-1.500s"],
    "fieldMask": ["a,b", "fooBar.baz", ""],
    "timestamp.seconds duration.seconds fieldName7 field_name2 fieldName2 FieldName8": ["5"],
}
ODD: Final = [
    *("-0", "1.0", "1e3", "1e400", "+1", " 1", "01", "0x1", "2147483648", "-2147483649", "18446744073709551616"),
    *("TRUE", "yes", "inf", "red", "99", "foo_bar", "x,,y", "1970-01-01", "1", "{}", "[]", "null", "A", "@@@@"),
]
UNUSUAL: Final = ["manyInner.text", "inner", "inner.nope", "struct", "value", "listValue", "any", "empty", "nope"]


def encoded(text: str) -> str:
    """A text that is percent-encoded throughout, but for what never needs it."""
    return quote(text, safe="")


_valid = st.sampled_from(
    [(key, value) for keys, values in VALUES.items() for key in keys.split() for value in values]
).map(lambda pair: f"{pair[0]}={encoded(pair[1])}")
_keys = st.sampled_from([key for keys in VALUES for key in keys.split()] + UNUSUAL)
_texts = (st.sampled_from(ODD + WORDS) | st.integers().map(str)).map(encoded) | st.sampled_from(RAW)
_odd = st.tuples(_keys, _texts).map("=".join)
_queries = st.lists(st.one_of(_valid, _valid, _odd), max_size=3).map("&".join)

_segments = st.sampled_from(WORDS).map(encoded) | st.sampled_from(RAW)
_templates = st.sampled_from(
    [
        *("/one/{}", "/deep/{}/{}", "/deep/{}/1", "/several/a/{}/b/{}", "/rest/{}", "/rest/{}/{}", "/rest/{}/{}/{}"),
        *("/star/{}/1", "/star/{}/{}", "/types/{}/true/RED/1", "/types/1/{}/{}/1.5", "/bytes/{}", "/query/{}", "/{}"),
        *("/query", "/query/", "/rest", "/rest/", "/one", "/nope", "//query", "/query:verb"),
    ]
)
_paths = st.tuples(_templates, _segments, _segments, _segments).map(lambda parts: parts[0].format(*parts[1:]))

_scalars = st.none() | st.booleans() | st.integers(-(2**64), 2**65) | st.floats(-1e300, 1e300) | st.sampled_from(ODD)
_anything = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_keys | st.sampled_from(WORDS), inner, max_size=2),
    max_leaves=4,
).filter(lambda value: isinstance(value, dict | list | str))  # Envoy waits for the end of a body that is a number
_likely = st.dictionaries(
    st.sampled_from([key for keys in VALUES for key in keys.split() if "." not in key]), _scalars, max_size=3
)
_valid_documents: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "int32": st.integers(-(2**31), 2**31 - 1),
        "int64": st.integers(-(2**63), 2**63 - 1).map(str),
        "double": st.floats(allow_nan=False, allow_infinity=False),
        "string": st.text(st.characters(codec="utf-8"), max_size=5),
        "color": st.sampled_from(["RED", 1, -1]),
        "inner": st.fixed_dictionaries({}, optional={"text": st.text(st.characters(codec="utf-8"), max_size=3)}),
        "manyInt32": st.lists(st.integers(-5, 5), max_size=3),
        "ofString": st.dictionaries(st.sampled_from(WORDS), st.sampled_from(WORDS), max_size=2),
        "value": st.none() | st.lists(st.booleans() | st.sampled_from(WORDS), max_size=2),
        "struct": st.dictionaries(st.sampled_from(WORDS), st.none() | st.integers(-5, 5), max_size=2),
        "timestamp": st.sampled_from(VALUES["timestamp"]),
        "boolValue": st.booleans(),
    },
)
_documents = st.one_of(_valid_documents, _valid_documents, _likely, _anything).map(json.dumps)
_malformed = st.sampled_from(
    ["", "{", "null", "[]", "[1, 2]", '{"int32": 1, "int32": 2}', '{"int32": 01}', "{} x", "{int32: 1}"]
)
_bodies = st.one_of(_documents, _documents, _documents, _malformed).map(str.encode)
_body_rules = st.sampled_from(
    [("POST", "/body"), ("PUT", "/body/5"), ("PATCH", "/inner/5"), ("POST", "/field/x"), ("POST", "/response")]
)

requests = st.one_of(
    st.builds(Request, st.sampled_from(["GET", "GET", "GET", "DELETE", "POST"]), _paths),
    st.builds(lambda query: Request("GET", f"/query?{query}"), _queries),
    st.builds(lambda rule, body: Request(rule[0], rule[1], body), _body_rules, _bodies),
    st.builds(
        lambda query, body: Request("PATCH", f"/inner/5?{query}", body), _queries, _valid_documents.map(lambda _: b"{}")
    ),
)
