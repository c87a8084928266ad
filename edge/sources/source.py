"""The source that the settings name."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from edge.call.address import Address
from edge.contract.image import read_image
from edge.sources.folder import compile_folder, proto_files
from edge.sources.reflection import ask
from mesh.client import RawChannel
from mesh.errors import InvalidArgument

REFLECT: Final = "reflect"


class Source(Protocol):
    """Where contracts come from, again and again."""

    async def read(self) -> FileDescriptorSet:
        """The contracts as they are now. Raises MeshError with a sentence that says why they can't be had."""

    async def stamp(self) -> object:
        """Something that is another one after the contracts have changed; None where only reading them can tell."""


def source_of(
    contracts: str, upstreams: Mapping[str, Address], channels: Mapping[Address, RawChannel], wait_s: float
) -> Source:
    """The source of a setting: the path of an image or a folder, or REFLECT, which asks the upstreams by their open
    channels. `wait_s` is how long they are waited for. Raises InvalidArgument if there is none to ask.
    """
    if contracts == REFLECT:
        if not upstreams:
            raise InvalidArgument("There is no upstream to ask for its contracts. Add --upstream '*=HOST:PORT'.")
        return _Reflection(upstreams, channels, wait_s)
    path = Path(contracts)
    return _Folder(path) if path.is_dir() else _Image(path)


@dataclass(frozen=True, slots=True)
class _Image:
    path: Path

    async def read(self) -> FileDescriptorSet:
        return await asyncio.to_thread(read_image, self.path)

    async def stamp(self) -> object:
        return _stamp(self.path)


@dataclass(frozen=True, slots=True)
class _Folder:
    path: Path

    async def read(self) -> FileDescriptorSet:
        return await asyncio.to_thread(compile_folder, self.path)

    async def stamp(self) -> object:
        return await asyncio.to_thread(lambda: [(name, _stamp(self.path / name)) for name in proto_files(self.path)])


@dataclass(frozen=True, slots=True)
class _Reflection:
    upstreams: Mapping[str, Address]
    channels: Mapping[Address, RawChannel]
    wait_s: float

    async def read(self) -> FileDescriptorSet:
        return await ask(self.upstreams, self.channels, self.wait_s)

    async def stamp(self) -> object:
        return None


def _stamp(path: Path) -> object:
    """When a file was written, and which one it is: a link that leads elsewhere makes it another."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
