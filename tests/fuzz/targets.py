"""The fuzz targets: each takes any bytes and fails if the edge neither accepts nor rejects them."""

import asyncio
import base64
import contextlib
import gzip
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any, Final

from edge.contract.contract import Contract
from edge.http.held_bytes import HeldBytes
from edge.http.whole_body import BodyLimits
from edge.httprule.router import MalformedPath, Match, Router
from edge.httprule.template import REST, PathTemplate, TemplateError
from edge.httprule.template import parse as parse_template
from edge.protocols.grpc_web.base64_text import decode_base64
from edge.protocols.rest.stream_splitters import ArraySplitter, LineSplitter, Splitter
from edge.protocols.rpc.envelope import read_envelopes, write_envelope
from edge.protojson.field_selection import parse as parse_selection
from edge.protojson.field_selection import trim
from edge.protojson.parser import MalformedJson, parse
from edge.protojson.readers import Readers
from edge.protojson.serialization import to_bytes
from edge.protojson.violations import INVALID, ROOT, InvalidValue, Violations
from mesh.errors import MeshError
from tests.fuzz.downstream import Downstream
from tests.fuzz.upstream import Upstream
from tests.fuzz.wire import Wire

Target = Callable[[bytes], None]

CASES: Final = Path(__file__).parent / "cases"
"""A folder for each target: inputs to begin with, and those that once failed."""

NAMES: Final = (
    "template",
    "path",
    "json",
    "fields",
    "split",
    "envelope",
    "url",
    "headers",
    "body",
    "http",
    "upstream",
    "downstream",
)

_DEPTH_MAX: Final = 64
_LIMITS: Final = BodyLimits(size_bytes_max=1000, timeout_s=10.0)

# Where bodies go, by their first byte: the method and the URL, the type, the coding.
_BODIES: Final = (
    ("POST", "/v1/echo", "application/json", ""),
    ("POST", "/v1/echo", "application/x-www-form-urlencoded", ""),
    ("POST", "/v1/shelves/a/books", "application/json", ""),
    ("PATCH", "/v1/shelves/a/books/b", "application/json", ""),
    ("PATCH", "/v2/shelves/a/books/b", "application/json", ""),
    ("POST", "/v1/value", "application/json", ""),
    ("POST", "/v1/items", "application/json", ""),
    ("POST", "/v1/check", "application/json", ""),
    ("POST", "/v1/echo", "application/json", "gzip"),
    ("POST", "/v1/tracks/a/points", "application/json", ""),
    ("POST", "/v1/tracks/a:chat", "application/x-ndjson", ""),
    ("PUT", "/v1/files/a", "text/plain", "br"),
    ("POST", "/library.v1.Library/Echo", "application/json", ""),
    ("POST", "/library.v1.Library/Echo", "application/proto", ""),
    ("POST", "/library.v1.Library/Echo", "application/proto", "zstd"),
    ("POST", "/library.v1.Library/Echo", "application/grpc-web+proto", ""),
    ("POST", "/library.v1.Library/Echo", "application/grpc-web-text", ""),
    ("POST", "/feeds.v1.Feeds/Chat", "application/connect+json", ""),
    ("POST", "/feeds.v1.Feeds/Chat", "application/connect+proto", ""),
    ("POST", "/feeds.v1.Feeds/Chat", "application/grpc-web+json", ""),
)


def targets(contract: Contract, wire: Wire, upstream: Upstream, downstream: Downstream) -> dict[str, Target]:
    """All targets, by name. `wire` serves the contract, `upstream` is called, `downstream` calls."""
    made: tuple[Target, ...] = (
        template,
        path,
        _json(contract),
        _fields(contract),
        split,
        envelope,
        lambda data: _told(wire, b"GET " + _line(data) + b" HTTP/1.1\r\nhost: x\r\n\r\n"),
        lambda data: _told(wire, b"GET /v1/echo?i32=1 HTTP/1.1\r\nhost: x\r\n" + _header_lines(data) + b"\r\n"),
        lambda data: _told(wire, _with_body(data)),
        lambda data: _told(wire, data[1:], cut=data[0]) if data else None,
        lambda data: upstream.receive(data[1:], cut=data[0]) if data else None,
        lambda data: downstream.send(data[1:], cut=data[0]) if data else None,
    )
    return dict(zip(NAMES, made, strict=True))


def cases(name: str) -> Iterator[Path]:
    """The files of a target."""
    return iter(sorted((CASES / name).iterdir()))


def template(data: bytes) -> None:
    """Checks that a text is a template whose own paths match it, or an error with the column of the fault."""
    text = data.decode("utf-8", "replace")
    try:
        found = parse_template(text)
    except TemplateError as error:
        assert 1 <= error.column <= len(text) + 1, error  # noqa: PT017 # any other error is a failure
        return
    router: Router[str] = Router()
    router.add("GET", found, "it")
    url = _a_path(found)
    match = router.match("GET", url)
    assert isinstance(match, Match), url
    assert len(match.values) == len(found.variables)


def path(data: bytes) -> None:
    """Checks that a path matches, does not match, or is malformed; captured variables survive another encoding."""
    router: Router[str] = Router()
    for text in ("/v1/{name=a/*/b/*}", "/v1/{name=**}:verb", "/{a}/{b=x/**}/c", "/v1/{one}", "/**/end", "/v1/{x}/{y}"):
        router.add("GET", parse_template(text), text)
    with contextlib.suppress(MalformedPath):
        match = router.match("GET", "/" + data.decode("latin-1"))
        if isinstance(match, Match) and match.target == "/v1/{x}/{y}":
            again = "/v1/" + "/".join("".join(f"%{byte:02X}" for byte in value.encode()) for value in match.values)
            assert router.match("GET", again) == match


def _json(contract: Contract) -> Target:
    desc = contract.registry.message("library.v1.Everything")
    assert desc is not None, "the contract has it"
    readers = Readers(contract.registry)

    def read(text: bytes) -> Any:
        violations = Violations()
        message = readers.message(desc).read(parse(text), ROOT, violations)
        sent = INVALID if violations.found else to_bytes(message, ROOT, violations)
        assert (sent is INVALID) == bool(violations.found)
        assert all(each.field and each.description and each.reason for each in violations.found)
        return sent

    def write(sent: bytes) -> str:
        return desc.type.from_binary(sent).to_json(registry=contract.registry)

    def check(data: bytes) -> None:
        """A body is refused, or a message that is the same one after it was written and read."""
        with contextlib.suppress(MalformedJson):
            sent = read(data)
            if sent is INVALID:
                return
            try:
                text = write(sent)
            except ValueError as error:
                assert "FieldMask" in str(error), error  # noqa: PT017 # protobuf-py writes no keys of maps in masks
                return
            assert write(read(text.encode())) == text

    return check


def _fields(contract: Contract) -> Target:
    desc = contract.registry.message("library.v1.Everything")
    assert desc is not None, "the contract has it"
    whole = {"i32": 1, "inner": {"text": "a"}, "list": [{"number": 1}], "struct": {"a": {"b": 1}}, "counts": {"a": 1}}

    def check(data: bytes) -> None:
        """A selection is refused, or a part of the message, of which it is the whole."""
        with contextlib.suppress(InvalidValue):
            selection = parse_selection(data.decode("utf-8", "replace"), desc, proto_names=False)
            part = trim(whole, selection)
            assert part.keys() <= whole.keys()
            assert trim(part, selection) == part

    return check


def split(data: bytes) -> None:
    """Checks that the messages of a stream are the same wherever it is cut, and that those of an array are its
    elements.
    """
    cut, text = (data[0], data[1:]) if data else (0, b"")
    splitters: tuple[Callable[[], Splitter], ...] = (
        lambda: ArraySplitter(1000, _DEPTH_MAX),
        lambda: LineSplitter(1000),
    )
    for make in splitters:
        whole = _messages(make(), [text])
        assert whole == _messages(make(), [text[:cut], text[cut:]])
        assert whole == _messages(make(), [bytes([byte]) for byte in text])
    elements = _messages(ArraySplitter(1000, _DEPTH_MAX), [text])
    with contextlib.suppress(MalformedJson):
        document = parse(text)
        if isinstance(document, list) and elements[-1:] != [None]:
            assert [parse(element or b"") for element in elements] == document


def envelope(data: bytes) -> None:
    """Envelopes and base64 are the same wherever they are cut; what was opened and is sealed again is as it came."""
    cut, body = (data[0], data[1:]) if data else (0, b"")
    found = asyncio.run(_envelopes([body]))
    assert found == asyncio.run(_envelopes([body[:cut], body[cut:]]))
    if found is not None:
        assert b"".join(write_envelope(content, flags) for flags, content in found) == body
    text = asyncio.run(_decoded([body]))
    assert text == asyncio.run(_decoded([body[:cut], body[cut:]]))
    assert asyncio.run(_decoded([base64.b64encode(body)])) == body


def _messages(splitter: Splitter, pieces: list[bytes]) -> list[bytes | None]:
    """Returns the messages; the last is None if it is rejected."""
    found: list[bytes | None] = []
    try:
        for piece in pieces:
            found.extend(splitter.feed(piece))
        found.extend(splitter.end())
    except (MalformedJson, MeshError):
        found.append(None)
    return found


async def _pieces(pieces: list[bytes]) -> AsyncGenerator[bytes, None]:
    for piece in pieces:
        if piece:
            yield piece


async def _envelopes(pieces: list[bytes]) -> list[tuple[int, bytes]] | None:
    with contextlib.suppress(MeshError):
        return [each async for each in read_envelopes(_pieces(pieces), _LIMITS, HeldBytes.unlimited().of(""))]
    return None


async def _decoded(pieces: list[bytes]) -> bytes | None:
    with contextlib.suppress(MeshError):
        return b"".join([piece async for piece in decode_base64(_pieces(pieces))])
    return None


def _a_path(found: PathTemplate) -> str:
    """A path of this template."""
    segments = []
    for segment, literal in zip(found.segments, found.literal, strict=True):
        if literal:
            segments.append("".join(f"%{byte:02x}" for byte in segment.encode()))
        else:
            segments.append("a/b" if segment == REST else "a")
    verb = "".join(f"%{byte:02x}" for byte in found.verb.encode()) if found.verb else ""
    return "/" + "/".join(segments) + (f":{verb}" if verb else "")


def _told(wire: Wire, data: bytes, cut: int = 0) -> None:
    """Every request is answered, and never by an error of the edge's own: 501 is for transfer codings, 499 for who
    left.
    """
    for status in wire.statuses(data, cut):
        assert status < 500 or status == 501, status


def _line(data: bytes) -> bytes:
    """The bytes without those that end a URL."""
    return b"/" + bytes(byte for byte in data if byte not in b"\r\n ")


def _header_lines(data: bytes) -> bytes:
    return b"".join(line.strip(b"\r") + b"\r\n" for line in data.split(b"\n") if line.strip(b"\r"))


def _with_body(data: bytes) -> bytes:
    """A request that has all but the first byte as its body."""
    kind, content = (data[0], data[1:]) if data else (0, b"")
    method, url, media_type, coding = _BODIES[kind % len(_BODIES)]
    if coding == "gzip" and kind >= 128:
        content = gzip.compress(content)
    head = f"{method} {url} HTTP/1.1\r\nhost: x\r\ncontent-type: {media_type}\r\ncontent-length: {len(content)}\r\n"
    return (head + (f"content-encoding: {coding}\r\n" if coding else "") + "\r\n").encode() + content
