"""Envoy as a proxy for HTTP/2, which stands for the proxies of a mesh: it has one connection for many clients, and
compresses headers by HPACK's dynamic table and Huffman code.
"""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.envoy import ANY_PORT, TYPE, cluster_of, running_envoy


def _configuration(port: int) -> dict[str, Any]:
    route = {"match": {"prefix": "/"}, "route": {"cluster": "backend", "timeout": "0s"}}
    manager = {
        "@type": f"{TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "proxy",
        "codec_type": "HTTP2",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{TYPE}.filters.http.router.v3.Router"}}],
    }
    filters = [{"name": "http", "typed_config": manager}]
    listener = {"name": "http2", "address": ANY_PORT, "filter_chains": [{"filters": filters}]}
    return {
        "admin": {"address": ANY_PORT},
        "static_resources": {"listeners": [listener], "clusters": [cluster_of(port)]},
    }


@contextlib.asynccontextmanager
async def proxied(port: int, folder: Path) -> AsyncIterator[int]:
    """Starts the proxy in front of a server. Yields its port."""
    async with running_envoy(_configuration(port), folder) as proxy_port:
        yield proxy_port
