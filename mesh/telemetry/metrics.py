"""Metrics of the calls that a process serves and makes."""

from enum import Enum

from prometheus_client import Counter, Histogram

SERVER_CALLS = Counter("grpc_server_handled_total", "Calls answered, by method and status.", ["method", "code"])
SERVER_SECONDS = Histogram("grpc_server_handling_seconds", "Time to answer a call, by method.", ["method"])
CLIENT_CALLS = Counter("grpc_client_handled_total", "Calls made, by workload and status.", ["workload", "code"])


class CountersByCode(dict[Enum, Counter]):
    """The counters of the calls of one method or workload by their code, which are looked up by their labels once."""

    def __init__(self, calls: Counter, label: str) -> None:
        """`label` is the method or the workload."""
        super().__init__()
        self._calls = calls
        self._label = label

    def __missing__(self, code: Enum) -> Counter:
        counter = self[code] = self._calls.labels(self._label, code.name)
        return counter
