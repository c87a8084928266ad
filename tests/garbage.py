"""The objects that are alive while the garbage collector is off."""

import asyncio
import gc


def alive(*kinds: type) -> int:
    """Returns how many objects of these types there are."""
    return sum(issubclass(type(each), kinds) for each in gc.get_objects())  # isinstance() would ask weak proxies


async def settled(count: int, *kinds: type) -> int:
    """Returns how many objects of these types there are, when they are at most `count` or some time has passed."""
    for _ in range(50):
        if alive(*kinds) <= count:
            break
        await asyncio.sleep(0.02)
    return alive(*kinds)
