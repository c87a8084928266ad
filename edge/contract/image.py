"""A descriptor image in a file, as `buf build -o` and `protoc --descriptor_set_out` write it; gzip is taken too."""

import gzip
import zlib
from pathlib import Path
from typing import Final

from google.api import annotations_pb2  # type: ignore[import-untyped] # has no stubs
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import DecodeError

from mesh.errors import InvalidArgument

HTTP_RULE: Final = annotations_pb2.http
"""The extension google.api.http. An image that is parsed before it is known would hide it."""

_GZIP: Final = b"\x1f\x8b"


def read_image(path: Path) -> FileDescriptorSet:
    """Reads an image. Raises InvalidArgument with a sentence if it is none."""
    try:
        content = path.read_bytes()
        if content.startswith(_GZIP):
            content = gzip.decompress(content)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InvalidArgument(f"{path} is compressed, and damaged: {error}.") from error
    except OSError as error:
        raise InvalidArgument(f"The contracts can't be read from {path}: {error.strerror}.") from error
    return parse_image(content, str(path))


def parse_image(content: bytes, source: str) -> FileDescriptorSet:
    """Parses an image. `source` says in errors where it came from."""
    try:
        image = FileDescriptorSet.FromString(content)
    except DecodeError as error:
        raise InvalidArgument(f"{source} is not a descriptor image, as `buf build -o` writes it.") from error
    if not image.file or not all(file.name for file in image.file):
        raise InvalidArgument(f"{source} holds no contracts. Make an image with `buf build -o`.")
    return image
