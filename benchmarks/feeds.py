"""The contract of the measured streams, and a backend for it: `python -m benchmarks.feeds`. It prints its port."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import google.api  # type: ignore[import-untyped] # has no stubs
import grpc
import grpc.aio
import grpc_tools  # type: ignore[import-untyped] # has no stubs
from google.api import httpbody_pb2
from grpc_tools import protoc

CONTRACT: Final = """
syntax = "proto3";
package bench.v1;
import "google/api/annotations.proto";
import "google/api/httpbody.proto";

service Feeds {
  rpc Watch(Request) returns (stream Event) {option (google.api.http) = {get: "/v1/events/{count}"};}
  rpc Download(Request) returns (stream google.api.HttpBody) {option (google.api.http) = {get: "/v1/files/{count}"};}
  rpc Upload(stream google.api.HttpBody) returns (Request) {option (google.api.http) = {post: "/v1/files" body: "*"};}
}

message Request {
  int32 count = 1;
}

message Event {
  string text = 1;
  int32 number = 2;
  string name = 3;
}
"""
PIECE_BYTES: Final = 262_144


def compile_image(folder: Path) -> Path:
    """Compiles the contract and returns its descriptor image."""
    (folder / "feeds.proto").write_text(CONTRACT)
    image = folder / "feeds.binpb"
    imports = [folder, Path(grpc_tools.__file__).parent / "_proto", Path(next(iter(google.api.__path__))).parents[1]]
    options = ["--include_imports", f"--descriptor_set_out={image}", *(f"-I{each}" for each in imports)]
    if protoc.main(["protoc", *options, "feeds.proto"]):
        sys.exit("protoc says why above")
    return image


def _count(request: bytes) -> int:
    """Returns the field of the request, a varint after its tag."""
    value = 0
    for place, byte in enumerate(request[1:]):
        value |= (byte & 0x7F) << (7 * place)
    return value


async def _watch(request: bytes, _: Any) -> AsyncIterator[bytes]:
    """Yields the requested number of events; for 0, yields one event and keeps the stream open."""
    count = _count(request)
    text = b"an event of the size that events have"
    name = b"feeds/1"
    for number in range(1, max(count, 1) + 1):
        varint = bytes([number]) if number < 128 else bytes([number & 0x7F | 0x80, number >> 7])
        yield b"\x0a" + bytes([len(text)]) + text + b"\x10" + varint + b"\x1a" + bytes([len(name)]) + name
    if count == 0:
        await asyncio.Event().wait()


async def _download(request: bytes, _: Any) -> AsyncIterator[bytes]:
    """Yields the requested number of pieces."""
    piece = httpbody_pb2.HttpBody(content_type="video/mp4", data=bytes(PIECE_BYTES)).SerializeToString()
    for _number in range(_count(request)):
        yield piece


async def _upload(requests: AsyncIterator[bytes], _: Any) -> bytes:
    """Reads and discards all pieces."""
    async for _request in requests:
        pass
    return b""


async def main() -> None:
    """Serves until it is killed."""
    methods: dict[str, Any] = {
        "Watch": grpc.unary_stream_rpc_method_handler(_watch),
        "Download": grpc.unary_stream_rpc_method_handler(_download),
        "Upload": grpc.stream_unary_rpc_method_handler(_upload),
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.v1.Feeds", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main())
