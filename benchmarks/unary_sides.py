"""The sides of benchmarks/unary.py: the edge in two configurations, Envoy, grpc-gateway, and a server of constants.

All but the last call one backend in Go. Each has one worker, or one thread that runs Go code at a time.
"""

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey

from benchmarks.go_peers import build
from benchmarks.program import printed_port, program, running
from benchmarks.unary_contract import compile_image, encode, without_policies
from benchmarks.unary_work import Work
from local.ports import free_ports

BARE: Final = "edge, transcoding alone"
FULL: Final = "edge, everything on"
ENVOY: Final = "Envoy"
GATEWAY: Final = "grpc-gateway"
FLOOR: Final = "uvicorn, constant bytes"
READY_TIMEOUT_S: Final = 60.0
_ISSUER: Final = "https://issuer.example"
_AUDIENCE: Final = "bench"
_KEYS_PATH: Final = "/keys"
_TOKEN_S: Final = 7200


@dataclass(frozen=True, slots=True)
class Side:
    """A running program, and the headers of the calls that it gets."""

    name: str
    pid: int
    port: int
    headers: dict[str, str]


class Issuer:
    """An issuer of access tokens."""

    def __init__(self) -> None:
        self._key = ECKey.generate_key("P-256", {"kid": "1"})

    def keys(self) -> str:
        """Returns the public keys as a JSON Web Key Set."""
        return json.dumps({"keys": [self._key.as_dict(private=False)]})

    def token(self) -> str:
        """Returns a token with the scopes of all measured methods."""
        now = int(time.time())
        times = {"iat": now, "exp": now + _TOKEN_S}
        claims = {"iss": _ISSUER, "aud": _AUDIENCE, "sub": "users/ada", "scope": "bench.read bench.write"} | times
        return jwt.encode({"alg": "ES256", "typ": "at+jwt", "kid": "1"}, claims, self._key)


@contextmanager
def sides(folder: Path, works: tuple[Work, ...]) -> Iterator[tuple[Side, ...]]:
    """Runs all sides during the block, from when each answers every kind of call as it must."""
    whole = compile_image(folder)
    plain = folder / "plain.binpb"
    plain.write_bytes(without_policies(whole.read_bytes()))
    peers = build(plain)
    issuer = Issuer()
    constants, answers = folder / "constants.json", folder / "answers"
    constants.write_text(json.dumps(bodies(works) | {f"GET {_KEYS_PATH}": issuer.keys()}))
    answers.mkdir()
    for work in works:
        (answers / work.method).write_bytes(encode(plain.read_bytes(), work.method, work.answer))
    with ExitStack() as stack:
        backend = stack.enter_context(running([str(peers.backend), str(answers)], {}, subprocess.PIPE))
        upstream, ports = printed_port(backend), free_ports(6)
        floor, keys, bare, full, envoy, gateway = ports
        log = stack.enter_context((folder / "edge.log").open("wb"))
        stack.enter_context(program("-m", "benchmarks.constant", constants, keys))
        started = {
            BARE: program(*_edge(plain, upstream, bare)),
            FULL: program(*_edge(whole, upstream, full), environment=_everything(keys), stderr=log),
            ENVOY: program("-m", "benchmarks.envoy", plain, upstream, envoy, folder),
            GATEWAY: running([str(peers.gateway), f"127.0.0.1:{upstream}", str(gateway)], {"GOMAXPROCS": "1"}),
            FLOOR: program("-m", "benchmarks.constant", constants, floor),
        }
        own = {FULL: {"authorization": f"Bearer {issuer.token()}"}}
        of_side = dict(zip(started, (bare, full, envoy, gateway, floor), strict=True))
        running_sides = tuple(
            Side(name, stack.enter_context(process).pid, of_side[name], own.get(name, {}))
            for name, process in started.items()
        )
        for side in running_sides:
            for work in works:
                check(side, work)
        yield running_sides


def bodies(works: tuple[Work, ...]) -> dict[str, str]:
    """Returns the JSON of the answer to each method of HTTP and path, without its query."""
    return {
        f"{work.http_method} {work.path.partition('?')[0]}": json.dumps(work.answer, separators=(",", ":"))
        for work in works
    }


def _edge(image: Path, upstream: int, port: int) -> tuple[object, ...]:
    return ("-m", "edge", "--contracts", image, "--upstream", f"*=127.0.0.1:{upstream}", "--port", port)


def _everything(keys_port: int) -> Mapping[str, str]:
    """Returns the variables that turn on the log and the check of tokens."""
    return {
        "LOG_LEVEL": "info",
        "LOG_FORMAT": "json",
        "JWKS_URL": f"http://127.0.0.1:{keys_port}{_KEYS_PATH}",
        "TOKEN_ISSUER": _ISSUER,
        "TOKEN_AUDIENCE": _AUDIENCE,
    }


def check(side: Side, work: Work) -> None:
    """Waits until a side answers a kind of call. Exits with a message if the answer is not that of the others."""
    answer = _wait_for(side, work)
    if not answer.is_success:
        raise SystemExit(f"{side.name} answers {work.name} with {answer.status_code}: {answer.text[:500]}")
    given: Any = answer.json()
    if given != work.answer:
        raise SystemExit(f"{side.name} answers {work.name} differently: {answer.text[:1000]}")


def _wait_for(side: Side, work: Work) -> httpx.Response:
    deadline = time.monotonic() + READY_TIMEOUT_S
    url = f"http://127.0.0.1:{side.port}{work.path}"
    while True:
        try:
            answer = httpx.request(work.http_method, url, json=work.body, headers=side.headers, timeout=READY_TIMEOUT_S)
        except httpx.TransportError:
            answer = None
        if answer is not None and answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            return answer
        if time.monotonic() > deadline:
            raise SystemExit(f"{side.name} does not answer")
        time.sleep(0.05)
