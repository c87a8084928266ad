"""The limits of the edge and the memory of its pod."""

from pathlib import Path
from typing import Any, Final

import yaml

from edge.call.allowances import ENTRIES_MAX
from edge.http.http1_protocol import BODY_BYTES_AHEAD
from edge.http.reply_writer import BYTES_FREE
from edge.settings import EdgeSettings
from mesh.identity import TOKEN_BYTES_MAX, Verifier

VALUES: Final = Path(__file__).parents[2] / "charts" / "meshwright" / "values.yaml"

# Measured (docs/decisions/0018-limits.md): resident bytes.
BASE_BYTES: Final = 125_000_000
CONNECTION_BYTES: Final = 10_000
STREAM_BYTES: Final = 60_000
LARGE_WORK_BYTES: Final = 48_000_000
ALLOWANCE_BYTES: Final = 550


def test_the_limits_fit_in_the_pod() -> None:
    """All limits reached at the same time, with the defaults of the settings and the chart, fit in the memory of the
    pod.
    """
    values: dict[str, Any] = yaml.safe_load(VALUES.read_text())
    limit = values["edge"]["resources"]["limits"]["memory"]
    assert limit.endswith("Mi")
    settings = EdgeSettings.model_validate({"contracts": "-", "upstreams": {}})
    connection = CONNECTION_BYTES + settings.head_bytes_max + BODY_BYTES_AHEAD + BYTES_FREE
    total = {
        "base": BASE_BYTES,
        "connections": settings.connections_max * connection,
        "streams": settings.concurrent_streams_max * STREAM_BYTES,
        "held": settings.held_bytes_max,
        "large work": LARGE_WORK_BYTES,
        "rate limits": ENTRIES_MAX * ALLOWANCE_BYTES,
        "tokens": Verifier.REMEMBERED_MAX * TOKEN_BYTES_MAX,
    }
    assert sum(total.values()) <= int(limit.removesuffix("Mi")) * 1024 * 1024, total
