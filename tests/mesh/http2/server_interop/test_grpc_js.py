"""The client of gRPC for Node, directly and behind a proxy: `make grpc-js` installs it."""

import asyncio
import json
import os
import sysconfig
from asyncio.subprocess import PIPE
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

from mesh.errors import Code
from tests.mesh.greeter import ROOT
from tests.mesh.http2.server.scripted import serving
from tests.mesh.http2.server_interop.plain import ROUTES
from tests.mesh.http2.server_interop.proxy import proxied

SCRIPT: Final = Path(__file__).parent / "node" / "calls.cjs"
MODULES: Final = ROOT / ".tools" / "grpc-js" / "node_modules"

EXPECTED: Final[dict[str, list[Any]]] = {
    **{f"{name} burst": [True] for name in ("identity", "deflate", "gzip")},
    **{f"{name} count": [3_000_000] for name in ("identity", "deflate", "gzip")},
    **{f"{name} sum": [1_000_000] for name in ("identity", "deflate", "gzip")},
    **{f"{name} echo": [1_000_000] for name in ("identity", "deflate", "gzip")},
    "fail": [[Code.ABORTED, True, True]] * 5,
    "deadline": [Code.DEADLINE_EXCEEDED],
    "cancelled": [Code.CANCELLED],
    "steady": [[]],
}


async def results(port: int) -> dict[str, list[Any]]:
    """Returns the results of the calls by their names."""
    node = Path(sysconfig.get_path("scripts"), "node")
    environment = {**os.environ, "NODE_PATH": str(MODULES)}
    process = await asyncio.create_subprocess_exec(node, SCRIPT, str(port), env=environment, stdout=PIPE, stderr=PIPE)
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    found: dict[str, list[Any]] = defaultdict(list)
    for line in output.splitlines():
        each = json.loads(line)
        found[each["call"]].append(each["result"])
    return found


async def test_every_kind_of_call(tmp_path: Path) -> None:
    """Also large, compressed, failed and cancelled ones. None is lost while connections are renewed."""
    async with serving(ROUTES, connection_age_s=0.2) as served, proxied(served.port, tmp_path) as port:
        assert await results(served.port) == EXPECTED
        assert await results(port) == EXPECTED
