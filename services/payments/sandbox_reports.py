"""The reports that the sandbox sends to the shop, signed as a provider's are."""

import asyncio
import json
from datetime import UTC, datetime
from types import TracebackType
from typing import Final
from uuid import UUID

import httpcore
import structlog

from mesh.background import Worker
from mesh.standard_webhooks import signed_headers
from services.payments.sandbox import Sandbox

PAUSE_S: Final = 0.5
TIMEOUT_S: Final = 5.0

log = structlog.get_logger()


class SandboxReports(Worker):
    """The sender, which works while its context lasts."""

    def __init__(self, sandbox: Sandbox, url: str, secret: bytes) -> None:
        super().__init__({"reports of the sandbox": self._send_next})
        self._sandbox = sandbox
        self._url = url
        self._secret = secret
        self._client = httpcore.AsyncConnectionPool(max_connections=1)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await super().__aexit__(kind, error, trace)
        await self._client.aclose()

    async def _send_next(self) -> None:
        charge = await self._sandbox.take_report()
        if charge is None:
            await asyncio.sleep(PAUSE_S)
        else:
            await self._send(charge)

    async def _send(self, charge: UUID) -> None:
        """Sends the one report about a charge. Sent again, it has the same id, by which a receiver recognises it."""
        body = json.dumps({"type": "charge.updated", "charge": str(charge)}).encode()
        headers = signed_headers(f"msg_{charge.hex}", datetime.now(UTC), body, [self._secret])
        try:
            response = await self._client.request(
                "POST",
                self._url,
                headers=[*headers.items(), ("content-type", "application/json")],
                content=body,
                extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), TIMEOUT_S)},
            )
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            log.warning("report not delivered", error=type(error).__name__)
        else:
            log.info("report delivered", status=response.status)
