"""The mesh runtime: the package that makes a process a member of the mesh. It knows no service and no edge."""

import sys

# structlog imports rich wherever it is installed: 4 MB in each process, for coloured tracebacks that we never use.
_rich = sys.modules.get("rich")
sys.modules["rich"] = None  # type: ignore[assignment] # makes `import rich` raise ImportError
import structlog  # noqa: E402, F401

del sys.modules["rich"]
if _rich is not None:
    sys.modules["rich"] = _rich
