"""The official conformance suite of Connect and gRPC-Web, against the edge."""

import os
import re
import subprocess
import sys
from typing import Final

from tests.edge.contracts import ROOT
from tests.edge.protocols.rpc.reference import SUITE

HERE: Final = ROOT / "tests" / "edge" / "protocols" / "rpc"

# The suite reads any JSON beside an error's status as Connect's, also when it speaks gRPC-Web.
FAILING: Final = "Unexpected Requests/HTTPVersion:1/Protocol:PROTOCOL_GRPC_WEB/TLS:false/unexpected-content-type"

# gRPC's core rounds a deadline up to the next 10 ms, which is more than the suite allows. When a deadline passes, the
# suite's client may give up before it has read the error.
FLAKY: Final = ("Deadline Propagation/**", "Timeouts/**")

# The suite gives a server a few seconds to start, and starts another for each configuration.
STARTED_TOO_LATE: Final = "timed out waiting for result from server"
STARTS_MAX: Final = 3


def test_the_conformance_suite_passes() -> None:
    """Over a thousand calls by the suite's own clients pass: all kinds, codecs, codings, metadata, errors,
    deadlines.
    """
    server = [sys.executable, "-m", "tests.edge.protocols.rpc.reference"]
    cases = ["--known-failing", FAILING, *(f"--known-flaky={each}" for each in FLAKY)]
    runner, configuration = str(SUITE / "connectconformance"), str(HERE / "conformance.yaml")
    # One server at a time: on a busy machine two don't start in time.
    command = [runner, "--conf", configuration, "--mode", "server", "--max-servers", "1", *cases, "--", *server]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}"}
    for _ in range(STARTS_MAX):
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if STARTED_TOO_LATE not in done.stdout:
            break
    failed = "\n".join(line for line in done.stdout.splitlines() if not line.startswith("20"))
    assert done.returncode == 0, failed
    count = re.search(r"^Total cases: (\d+)$", done.stdout, re.MULTILINE)
    assert count is not None
    assert int(count[1]) > 1300
