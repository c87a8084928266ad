"""Channels whose calls carry an access token."""

from contextvars import ContextVar
from typing import Any, Final

from grpclib.client import Channel
from grpclib.const import Status
from grpclib.events import RecvTrailingMetadata, SendRequest, listen

from meshwright_client.tokens import Tokens

_SENT: Final = ContextVar("_SENT", default="")  # A call's events are dispatched in the task that makes the call.


def authorized_channel(host: str, port: int, tokens: Tokens, **options: Any) -> Channel:
    """Returns a channel of grpclib that adds an access token to each call. `options` are those of Channel.

    A call waits for a token where a new one is needed, and raises what `Tokens.access_token` raises. After a call that
    fails with UNAUTHENTICATED, the next one obtains a new token.
    """
    channel = Channel(host, port, **options)

    async def authorize(event: SendRequest) -> None:
        token = await tokens.access_token()
        _SENT.set(token)
        event.metadata["authorization"] = f"Bearer {token}"

    async def forget_rejected(event: RecvTrailingMetadata) -> None:
        if event.status is Status.UNAUTHENTICATED:
            tokens.forget(_SENT.get())

    listen(channel, SendRequest, authorize)
    listen(channel, RecvTrailingMetadata, forget_rejected)
    return channel
