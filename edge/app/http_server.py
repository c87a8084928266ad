"""The HTTP server of the edge."""

import math
import socket
from typing import Any

from edge.http.client_probes import probe_clients
from edge.http.connection_limits import ConnectionLimits
from edge.http.connections import Connections
from edge.http.draining import Drain, DrainingServer
from edge.http.held_bytes import HeldBytes
from edge.http.http1_protocol import http1_protocol_class
from edge.http.websocket_protocol import websocket_protocol_class
from edge.settings import EdgeSettings


def serve(app: Any, settings: EdgeSettings, bound: socket.socket) -> DrainingServer:
    """Returns the HTTP server of an ASGI application."""
    limits = ConnectionLimits(
        settings.head_bytes_max, settings.url_bytes_max, settings.head_timeout_s, settings.stall_s
    )
    probe_clients(bound)
    drain = Drain(settings.drain_quiet_s, settings.drain_s_max, in_mesh=settings.service_mesh)
    return DrainingServer(
        app,
        bound,
        drain,
        http=http1_protocol_class(
            limits,
            drain,
            HeldBytes(settings.held_bytes_max, settings.body_bytes_max),
            Connections(settings.connections_max),
        ),
        interface="asgi3",
        ws=websocket_protocol_class(settings.stall_s),
        ws_max_size=settings.body_bytes_max,
        ws_per_message_deflate=False,
        ws_ping_interval=settings.stream_heartbeat_s or None,
        ws_ping_timeout=settings.stall_s,
        lifespan="off",
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=math.ceil(settings.shutdown_grace_s),
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
    )
