"""Responses with values that have no ProtoJSON form: the call was carried out, so they must not be lost."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from hypothesis import given
from hypothesis import strategies as st
from protobuf import Message

from edge.contract.contract import Contract, read
from edge.protojson import writer
from tests.edge.backend import Backend, Context, Received, backend_of
from tests.edge.contracts import LIBRARY, compile_image
from tests.edge.served import Client, edge_of

EVERYTHING = "library.v1.Everything"
ECHO = "/library.v1.Library/Echo"


@pytest.fixture(scope="module")
def google_type(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Returns google.protobuf's class of Everything, which can hold values that protobuf-py rejects."""
    image: FileDescriptorSet = compile_image(LIBRARY, tmp_path_factory.mktemp("google"))
    pool = descriptor_pool.DescriptorPool()
    for file in image.file:
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(EVERYTHING))


def masked(*paths: str) -> Callable[[Any], None]:
    """Sets a mask with these paths."""
    return lambda message: message.field_mask.paths.extend(paths)


def timed(field: str, seconds: int, nanos: int) -> Callable[[Any], None]:
    """Sets a Timestamp or a Duration."""

    def change(message: Any) -> None:
        getattr(message, field).seconds, getattr(message, field).nanos = seconds, nanos

    return change


def packed(url: str, content: bytes) -> Callable[[Any], None]:
    """Sets an Any."""

    def change(message: Any) -> None:
        message.any.type_url, message.any.value = url, content

    return change


def number(value: float) -> Callable[[Any], None]:
    """Sets a number in a Struct."""

    def change(message: Any) -> None:
        message.struct.fields["x"].number_value = value

    return change


INNER = "type.googleapis.com/library.v1.Inner"
CASES: list[tuple[Callable[[Any], None], dict[str, Any]]] = [
    (masked("*"), {"fieldMask": "*"}),
    (masked("labels.`a b`", "page_count"), {"fieldMask": "labels.`a b`,pageCount"}),
    (masked("labels.`x_y`"), {"fieldMask": "labels.`xY`"}),
    (masked("a_1", "page_count", "fooBar", "end_"), {"fieldMask": "a_1,pageCount,fooBar,end_"}),
    (masked(""), {"fieldMask": ""}),
    (timed("timestamp", 253_402_300_800, 5), {"timestamp": "+010000-01-01T00:00:00.000000005Z"}),
    (timed("timestamp", -62_135_596_801, 0), {"timestamp": "0000-12-31T23:59:59Z"}),
    (timed("timestamp", -62_198_755_200, 0), {"timestamp": "-000001-01-01T00:00:00Z"}),
    (timed("timestamp", 1, -1_000_000), {"timestamp": "1970-01-01T00:00:00.999Z"}),
    (timed("duration", 315_576_000_001, 0), {"duration": "315576000001s"}),
    (timed("duration", 1, -500_000_000), {"duration": "0.500s"}),
    (timed("duration", -1, -1_000_000_000), {"duration": "-2s"}),
    (number(float("nan")), {"struct": {"x": "NaN"}}),
    (number(float("-inf")), {"struct": {"x": "-Infinity"}}),
    (lambda message: message.value.SetInParent(), {"value": None}),
    (lambda message: message.struct.fields["x"].SetInParent(), {"struct": {"x": None}}),
    (lambda message: message.list_value.values.add(), {"listValue": [None]}),
    (packed("x/no.Such", b"\x08\x01"), {"any": {"@type": "x/no.Such", "@value": "CAE="}}),
    (packed(INNER, b"\xff"), {"any": {"@type": INNER, "@value": "/w=="}}),
    (packed(INNER, b"\x0a\x01\xff"), {"any": {"@type": INNER, "@value": "CgH/"}}),
]


@pytest.mark.parametrize(("change", "shown"), CASES)
async def test_a_response_without_a_protojson_form_is_written(
    client: Client, backend: Backend, google_type: Any, change: Callable[[Any], None], shown: dict[str, Any]
) -> None:
    """REST and Connect write such values beside the others, in json_format's form where it has one."""
    message = google_type(i64=7, kinds=[1, 77], counts={"a": 1}, inners={True: {}}, wrapped_int={}, data=b"\xff")
    change(message)
    answers(backend, message.SerializeToString())
    beside = {"i64": "7", "kinds": ["KIND_NOVEL", 77], "counts": {"a": 1}, "inners": {"true": {}}}
    expected = {**beside, "wrappedInt": 0, "data": "/w==", **shown}
    rest, connect = await client.post("/v1/echo", json={}), await client.post(ECHO, json={})
    assert (rest.status_code, rest.json()) == (200, expected)
    assert (connect.status_code, connect.json()) == (200, expected)
    trimmed = await client.post("/v1/echo?$fields=i64", json={})
    assert trimmed.json() == {"i64": "7"}
    try:
        assert json.loads(json_format.MessageToJson(message)) == expected
    except (json_format.SerializeToJsonError, TypeError):
        return  # json_format has no form for it


def answers(backend: Backend, content: bytes) -> None:
    """Starts a backend that returns these bytes for every call."""

    async def answer(_: Received, __: Context) -> bytes:
        return content

    backend.answer = answer


MASKS = """
syntax = "proto3";
package masks.v1;
import "google/api/annotations.proto";
import "google/protobuf/field_mask.proto";
service Masks {
  rpc Watch(Mask) returns (stream Mask) { option (google.api.http) = {get: "/v1/masks"}; }
}
message Mask { google.protobuf.FieldMask mask = 1; }
"""


@pytest.mark.parametrize(
    ("accept", "text"),
    [
        ("application/json", '[{"mask":"*"},\n{"mask":"a_1"}]'),
        ("application/x-ndjson", '{"mask":"*"}\n{"mask":"a_1"}\n'),
        ("text/event-stream", 'data: {"mask":"*"}\n\ndata: {"mask":"a_1"}\n\nevent: end\ndata: {}\n\n'),
    ],
)
async def test_a_stream_continues(tmp_path: Path, accept: str, text: str) -> None:
    """A message without a ProtoJSON form does not end its stream."""
    contract = read(compile_image(MASKS, tmp_path))
    path = "/masks.v1.Masks/Watch"
    async with backend_of(contract.registry, [path]) as source, edge_of(contract, source.port) as edge:

        async def stream(_: AsyncIterator[bytes], __: Context) -> AsyncIterator[bytes]:
            yield b"\x0a\x03\x0a\x01*"
            yield b"\x0a\x05\x0a\x03a_1"

        source.stream = stream
        reply = await edge.get("/v1/masks", headers={"accept": accept})
        assert (reply.status_code, reply.text) == (200, text)


@pytest.mark.usefixtures("backend")
async def test_a_mask_that_is_sent_comes_back(client: Client) -> None:
    """A mask survives a round trip, also with paths that camelCase can't represent."""
    for query in ("fieldMask=*,a.`b c`,x_1", "fieldMask.paths=*&fieldMask.paths=a.`b c`&fieldMask.paths=x_1"):
        reply = await client.get(f"/v1/echo?{query}")
        assert (reply.status_code, reply.json()) == (200, {"fieldMask": "*,a.`b c`,x_1"}), query
    assert (await client.get("/v1/echo?fieldMask=labels.`ü`")).json() == {"fieldMask": "labels.`ü`"}
    assert list(await client.violations("GET", "/v1/echo?fieldMask.paths=a b")) == ["fieldMask.paths"]


@given(st.data())
def test_the_writer_agrees_with_the_library(library: Contract, data: st.DataObject) -> None:
    """Our writer and protobuf-py produce equal JSON for messages that both can write."""
    desc: Any = library.registry.message(EVERYTHING)
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
    document = data.draw(
        st.fixed_dictionaries(
            {},
            optional={
                "i32": st.integers(-(2**31), 2**31 - 1),
                "u64": st.integers(0, 2**64 - 1).map(str),
                "doubleValue": st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(["NaN", "-Infinity"]),
                "flag": st.booleans(),
                "text": text,
                "kind": st.sampled_from(["KIND_POEM", 5]),
                "maybe": text,
                "names": st.dictionaries(st.integers(-5, 5).map(str), text),
                "inner": st.just({"text": "x"}),
                "choiceB": st.integers(0, 1),
                "timestamp": st.sampled_from(["1970-01-01T00:00:00Z", "0001-01-01T00:00:00.5Z"]),
                "duration": st.sampled_from(["0s", "-1.000001s", "315576000000s", "-0.5s"]),
                "struct": st.just({"a": [1, None, {"b": True}], "c": "d"}),
                "any": st.sampled_from([{}, {"@type": "x/library.v1.Inner", "number": 1}]),
                "wrappedBytes": st.just("/w=="),
                "wrappedLong": st.just("5"),
                "nothing": st.none(),
            },
        )
    )
    message: Message = desc.type.from_json(json.dumps(document), registry=library.registry)
    for options in ({}, {"always_emit_implicit": True}, {"print_enums_as_ints": True}, {"use_proto_field_name": True}):
        ours = writer._Writer(registry=library.registry, **options).message(message, 0)
        assert ours == json.loads(message.to_json(registry=library.registry, **options))


ALIASES = """
syntax = "proto3";
package aliases.v1;
import "google/api/annotations.proto";
service Aliases {
  rpc Get(Colours) returns (Colours) {
    option (google.api.http) = {get: "/v1/colours" additional_bindings {post: "/v1/colours" body: "*"}};
  }
}
message Colours {
  Colour colour = 1;
  repeated Colour colours = 2;
  map<string, Shade> shades = 3;
  enum Shade {
    option allow_alias = true;
    SHADE_UNSPECIFIED = 0;
    SHADE_NONE = 0;
    SHADE_DARK = 5;
    SHADE_BLACK = 5;
    SHADE_LIGHT = 1;
    SHADE_WHITE = 1;
    SHADE_PALE = 1;
  }
}
enum Colour {
  option allow_alias = true;
  COLOUR_UNSPECIFIED = 0;
  GREY = 1;
  RED = 2;
  GRAY = 1;
  CRIMSON = 2;
}
"""


def test_a_number_with_several_names_is_written_by_the_first(tmp_path: Path) -> None:
    """The first declared alias is written, as by json_format; all are read, and listed in the contract's order."""
    image = compile_image(ALIASES, tmp_path)
    desc: Any = read(image).registry.message("aliases.v1.Colours")
    text = '{"colour": "CRIMSON", "colours": ["GRAY", "GREY", 2, 0], "shades": {"a": "SHADE_PALE", "b": "SHADE_BLACK"}}'
    message = desc.type.from_json(text)
    written = writer.to_json(message, registry=read(image).registry)
    pool = descriptor_pool.DescriptorPool()
    for file in image.file:
        pool.Add(file)
    google = message_factory.GetMessageClass(pool.FindMessageTypeByName("aliases.v1.Colours"))
    expected = json.loads(json_format.MessageToJson(google.FromString(message.to_binary())))
    assert json.loads(written) == expected
    assert expected["colours"] == ["GREY", "GREY", "RED", "COLOUR_UNSPECIFIED"]
    assert expected["shades"] == {"a": "SHADE_LIGHT", "b": "SHADE_DARK"}
