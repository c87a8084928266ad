"""The mesh runtime: what makes a process a member of the mesh. It knows no service and no edge."""

import sys

# structlog loads rich wherever it is installed, 4 MB in each process, to draw tracebacks that none of ours shows.
_rich = sys.modules.get("rich")
sys.modules["rich"] = None  # type: ignore[assignment] # this is how importing a module is made to fail
import structlog  # noqa: E402, F401

del sys.modules["rich"]
if _rich is not None:
    sys.modules["rich"] = _rich
