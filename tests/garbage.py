"""The objects that are alive, found through the garbage collector."""

import asyncio
import gc
from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")


def living(*kinds: type[T]) -> list[T]:
    """Returns the objects of these types and their subtypes."""
    types = {subtype for kind in kinds for subtype in _subtypes(kind)}  # issubclass() of every object would take long
    # By type(): isinstance() would dereference weak proxies, whose objects may be gone.
    return [each for each in gc.get_objects() if type(each) in types]


def _subtypes(kind: type[T]) -> Iterator[type[T]]:
    yield kind
    for subtype in type.__subclasses__(kind):
        yield from _subtypes(subtype)


def alive(*kinds: type) -> int:
    """Returns how many objects of these types there are, while the garbage collector is off."""
    return len(living(*kinds))


async def settled(count: int, *kinds: type) -> int:
    """Returns how many objects of these types there are, when they are at most `count` or some time has passed."""
    for _ in range(50):
        if alive(*kinds) <= count:
            break
        await asyncio.sleep(0.02)
    return alive(*kinds)
