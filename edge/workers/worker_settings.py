"""The settings of each worker, which has a share of the limits of the edge."""

from edge.http.held_bytes import BODIES_MIN
from edge.settings import EdgeSettings


def worker_settings(settings: EdgeSettings) -> EdgeSettings:
    """Returns the settings of each of the workers: limits on what is there at the same time are divided, so that all
    workers together keep to them. A worker can always hold BODIES_MIN bodies.
    """
    count = settings.workers
    held = max(_part(settings.held_bytes_max, count), BODIES_MIN * settings.body_bytes_max)
    divided = {
        "connections_max": _part(settings.connections_max, count),
        "concurrent_requests_max": _part(settings.concurrent_requests_max, count),
        "concurrent_streams_max": _part(settings.concurrent_streams_max, count),
        "held_bytes_max": held,
    }
    return settings.model_copy(update=divided)


def _part(total: int, count: int) -> int:
    return -(-total // count)
