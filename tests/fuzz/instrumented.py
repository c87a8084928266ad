"""One target under the fuzzer, in a process that has nothing else to do.

python -m tests.fuzz.instrumented TARGET [libFuzzer's options and folders]
"""

import sys
import tempfile
from pathlib import Path

import atheris  # type: ignore[import-untyped] # has no stubs

# The edge and both sides of HTTP/2 are imported under the fuzzer's eyes, so that it sees which lines an input reaches.
with atheris.instrument_imports(include=["edge", "mesh.http2"]):
    from edge.contract.contract import read
    from tests.fuzz.contract import image
    from tests.fuzz.downstream import Downstream
    from tests.fuzz.targets import targets
    from tests.fuzz.upstream import Upstream
    from tests.fuzz.wire import Wire


def main() -> None:
    """Fuzzes until the time is up, or an input fails."""
    name, *arguments = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        contract = read(image(Path(folder)))
    target = targets(contract, Wire(contract), Upstream(), Downstream())[name]
    atheris.Setup([sys.argv[0], *arguments], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
