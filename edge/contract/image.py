"""A reader of descriptor images, plain or gzipped, from `buf build -o` or `protoc --descriptor_set_out`."""

import gzip
import zlib
from pathlib import Path
from typing import Final

from google.api import annotations_pb2  # type: ignore[import-untyped] # has no stubs
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import DecodeError

from mesh.errors import InvalidArgument

HTTP_RULE: Final = annotations_pb2.http
"""The extension google.api.http, which must be registered before an image is parsed."""

_GZIP: Final = b"\x1f\x8b"


def read_image(path: Path) -> FileDescriptorSet:
    """Reads an image from a file. Raises InvalidArgument if the file can't be read or is not an image."""
    try:
        content = path.read_bytes()
        if content.startswith(_GZIP):
            content = gzip.decompress(content)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InvalidArgument(f"{path} is a corrupt gzip file: {error}.") from error
    except OSError as error:
        raise InvalidArgument(f"Can't read the contracts from {path}: {error.strerror}.") from error
    return parse_image(content, str(path))


def parse_image(content: bytes, source: str) -> FileDescriptorSet:
    """Parses an image. `source` names its origin in errors. Raises InvalidArgument."""
    try:
        image = FileDescriptorSet.FromString(content)
    except DecodeError as error:
        hint = "Make one with `buf build -o`, or name a folder of .proto files."
        raise InvalidArgument(f"{source} is not a descriptor image. {hint}") from error
    if not image.file or not all(file.name for file in image.file):
        raise InvalidArgument(f"{source} contains no .proto files. Make an image with `buf build -o`.")
    return image
