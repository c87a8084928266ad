"""Writes of several pieces at once, to a transport of asyncio or uvloop."""

import sys
from asyncio import WriteTransport
from collections.abc import Sequence
from typing import Final

_PAUSES: Final = not ((3, 12) <= sys.version_info < (3, 12, 9) or (3, 13) <= sys.version_info < (3, 13, 2))
"""Whether asyncio's writelines() pauses the protocol (CVE-2024-12254). Data that the peer does not read would otherwise
have no limit.
"""


def write_gathered(transport: WriteTransport, pieces: Sequence[bytes | memoryview]) -> None:
    """Writes pieces in one system call, without a copy where that is safe."""
    if _PAUSES:
        transport.writelines(pieces)
    else:
        transport.write(b"".join(pieces))
