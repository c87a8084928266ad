"""The limit on the silence of client streams: one that sends nothing keeps a place that others wait for."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

from mesh.errors import ResourceExhausted

Req = TypeVar("Req")

RETRY_AFTER_S = 1.0


async def until_silent(requests: AsyncIterator[Req], silence_s: float) -> AsyncGenerator[Req, None]:
    """Yields the messages of a stream. Raises ResourceExhausted if the next one does not arrive in time: it is the
    client's choice, and DEADLINE_EXCEEDED would count as a failure of the workload (ADR 19).
    """
    while True:
        try:
            async with asyncio.timeout(silence_s):
                message = await anext(requests)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise ResourceExhausted(
                f"No message of the stream arrived for {silence_s:g} s. Send it again, without pauses.",
                reason="STREAM_SILENT",
                retry_after_s=RETRY_AFTER_S,
            ) from None
        yield message
