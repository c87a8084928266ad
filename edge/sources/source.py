"""The source of contracts that the settings select."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from edge.call.address import Address
from edge.contract.image import read_image
from edge.sources.folder import compile_folder, proto_files
from edge.sources.reflection import reflect
from mesh.client import RawChannel
from mesh.errors import InvalidArgument

REFLECT: Final = "reflect"


class Source(Protocol):
    """A source of contracts that can be read repeatedly."""

    async def read(self) -> FileDescriptorSet:
        """Returns the current contracts. Raises MeshError with the reason if they can't be read."""

    async def fingerprint(self) -> object:
        """Returns a value that changes with the contracts, or None if only reading them can detect a change."""


def source_of(
    contracts: str, upstreams: Mapping[str, Address], channels: Mapping[Address, RawChannel], wait_s: float
) -> Source:
    """Returns the source for a setting: the path of an image or a folder, or REFLECT for the reflection of the
    upstreams through their open channels, with up to `wait_s` seconds to reach them. Raises InvalidArgument for REFLECT
    without upstreams.
    """
    if contracts == REFLECT:
        if not upstreams:
            raise InvalidArgument("Reflection needs an upstream. Add --upstream '*=HOST:PORT'.")
        return _Reflection(upstreams, channels, wait_s)
    path = Path(contracts)
    return _Folder(path) if path.is_dir() else _Image(path)


@dataclass(frozen=True, slots=True)
class _Image:
    path: Path

    async def read(self) -> FileDescriptorSet:
        return await asyncio.to_thread(read_image, self.path)

    async def fingerprint(self) -> object:
        return _file_fingerprint(self.path)


@dataclass(frozen=True, slots=True)
class _Folder:
    path: Path

    async def read(self) -> FileDescriptorSet:
        return await asyncio.to_thread(compile_folder, self.path)

    async def fingerprint(self) -> object:
        return await asyncio.to_thread(
            lambda: [(name, _file_fingerprint(self.path / name)) for name in proto_files(self.path)]
        )


@dataclass(frozen=True, slots=True)
class _Reflection:
    upstreams: Mapping[str, Address]
    channels: Mapping[Address, RawChannel]
    wait_s: float

    async def read(self) -> FileDescriptorSet:
        return await reflect(self.upstreams, self.channels, self.wait_s)

    async def fingerprint(self) -> object:
        return None


def _file_fingerprint(path: Path) -> object:
    """Returns the modification time, size and inode of a file; the inode changes when a link is retargeted."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
