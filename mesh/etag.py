"""Etags of resources (AIP-154)."""

from mesh.errors import Aborted


def check_etag(given: str, current: str, message: str) -> None:
    """Raises Aborted with this message and the current etag if the given etag is that of another version. An empty
    etag matches every version.
    """
    if given and given != current:
        raise Aborted(message, reason="ETAG_MISMATCH", metadata={"etag": current})
