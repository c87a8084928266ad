"""The command `python -m mesh.events.provision --keep`, which here looks often for what got lost."""

import sys
from typing import Final

_PROGRAM: Final = """
import sys
from mesh.events import provision

provision.KEEP_PAUSE_S = 0.2
sys.exit(provision.main(sys.argv[1:]))
"""

KEEP: Final = (sys.executable, "-c", _PROGRAM, "--keep")
