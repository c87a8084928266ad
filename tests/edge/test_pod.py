"""The limits of the edge and the memory of its pod."""

import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from structlog.testing import capture_logs

from edge.app.memory import memory_bytes, warn_of_little_memory
from edge.contract.contract import load
from edge.settings import EdgeSettings

ROOT: Final = Path(__file__).parents[2]
VALUES: Final = ROOT / "charts" / "meshwright" / "values.yaml"
METHODS: Final = len(load(ROOT / "gen" / "contracts.binpb").methods)
DEFAULT: Final = sum(memory_bytes(EdgeSettings.model_validate({"contracts": "-", "upstreams": {}}), METHODS).values())


def settings(**changed: Any) -> EdgeSettings:
    """Returns the default settings, except those that are given."""
    return EdgeSettings.model_validate({"contracts": "-", "upstreams": {}, **changed})


def test_the_limits_fit_in_the_pod() -> None:
    """With the defaults of settings and chart, all limits reached at once and all methods of the store called
    fit in the memory of the pod.
    """
    values: dict[str, Any] = yaml.safe_load(VALUES.read_text())
    limit = values["edge"]["resources"]["limits"]["memory"]
    assert limit.endswith("Mi")
    assert int(limit.removesuffix("Mi")) * 1024 * 1024 >= DEFAULT, memory_bytes(settings(), METHODS)


def test_an_edge_that_verifies_no_tokens_does_not_load_cryptography() -> None:
    """It takes 10 MB."""
    program = "import sys, edge.__main__; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "mesh.identity.verifier" in loaded
    assert not {"cryptography", "joserfc"} & set(loaded)


@pytest.mark.parametrize(
    ("changed", "more"),
    [
        ({"connections_max": 2001}, 10_000 + 32_768 + 16_000 + 2 * 16_384),
        ({"head_bytes_max": 32_769}, 2000),
        ({"concurrent_streams_max": 1001}, 60_000 + 8_192 + 65_535),
        ({"held_bytes_max": 67_108_865}, 1),
        ({"body_bytes_max": 16_777_216}, 0),
    ],
)
def test_every_limit_that_takes_memory_counts(changed: dict[str, int], more: int) -> None:
    """A higher limit adds the memory that it allows; bodies of any maximum size are part of the held bytes."""
    assert sum(memory_bytes(settings(**changed), METHODS).values()) == DEFAULT + more


def test_every_method_of_the_contract_counts() -> None:
    """Each method of the contract adds the memory of its types and its endpoint, because strangers may call it."""
    assert sum(memory_bytes(settings(), METHODS + 1).values()) == DEFAULT + 55_000


@pytest.mark.parametrize(
    ("limit", "changed", "warnings"),
    [
        (f"{DEFAULT}\n", {}, 0),
        (f"{DEFAULT - 1}\n", {}, 1),
        (f"{DEFAULT}\n", {"connections_max": 100_000}, 1),
        ("max\n", {"connections_max": 100_000}, 0),
        (None, {"connections_max": 100_000}, 0),
    ],
)
def test_limits_that_do_not_fit_in_the_container_are_logged(
    tmp_path: Path, limit: str | None, changed: dict[str, int], warnings: int
) -> None:
    """The warning has the bytes of every part; a container without a limit has room for all."""
    file = tmp_path / "memory.max"
    if limit is not None:
        file.write_text(limit)
    with capture_logs() as logs:
        warn_of_little_memory(settings(**changed), METHODS, file)
    assert len(logs) == warnings
    for entry in logs:
        assert entry["allowed_bytes"] == sum(memory_bytes(settings(**changed), METHODS).values())
        assert entry["connections"] == memory_bytes(settings(**changed), METHODS)["connections"]


@pytest.mark.parametrize(("body", "held", "is_valid"), [(1000, 2000, True), (1000, 1999, False), (0, 1024, True)])
def test_two_bodies_fit_in_the_held_bytes(body: int, held: int, is_valid: bool) -> None:
    """A BODY_BYTES_MAX that HELD_BYTES_MAX has no room for is rejected with a sentence that names both."""
    if is_valid:
        assert settings(body_bytes_max=body, held_bytes_max=held).held_bytes_max == held
        return
    with pytest.raises(ValueError, match=r"HELD_BYTES_MAX must be at least twice BODY_BYTES_MAX, 2000, so that"):
        settings(body_bytes_max=body, held_bytes_max=held)
