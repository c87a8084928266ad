"""Metrics of the calls that a process serves and makes."""

from prometheus_client import Counter, Histogram

SERVER_CALLS = Counter("grpc_server_handled_total", "Calls answered, by method and status.", ["method", "code"])
SERVER_SECONDS = Histogram("grpc_server_handling_seconds", "Time to answer a call, by method.", ["method"])
CLIENT_CALLS = Counter("grpc_client_handled_total", "Calls made, by workload and status.", ["workload", "code"])
