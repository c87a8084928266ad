"""The coding of single messages, each compressed by itself, so that none waits for the next."""

from edge.http.compression import SIZE_BYTES_MIN, compressed
from edge.http.decompression import CODINGS, Damaged, decode
from edge.http.negotiation import preferred_coding
from edge.http.whole_body import BodyLimits
from edge.protocols.rpc.envelope import too_large
from mesh.errors import InvalidArgument, Unimplemented

IDENTITY = "identity"


def of_header(value: bytes | None) -> str:
    """The coding that a header, or a parameter, names. Raises Unimplemented for one that is not known."""
    coding = (value or b"").decode("latin-1").strip().lower() or IDENTITY
    if coding != IDENTITY and coding not in CODINGS:
        text = f"The messages' coding is not supported; send them as they are, or with one of {', '.join(CODINGS)}."
        raise Unimplemented(text, reason="ENCODING_NOT_SUPPORTED")
    return coding


def decompress(content: bytes, coding: str, limits: BodyLimits) -> bytes:
    """A message without its coding. Raises InvalidArgument if it is damaged, ResourceExhausted if it is too large."""
    if coding == IDENTITY or not content:
        return content
    try:
        plain = decode(content, coding, limits.size_bytes_max)
    except Damaged as error:
        raise InvalidArgument(f"The message {error}.", reason="BODY_MALFORMED") from error
    if len(plain) > limits.size_bytes_max:
        raise too_large(limits)
    return plain


def preferred(accepted: bytes | None, given: str) -> str:
    """The coding for the responses of a client that accepts these; one that does not say accepts what it sends."""
    wanted = given.encode() if accepted is None else accepted
    return preferred_coding(wanted, CODINGS) or IDENTITY


async def compress(message: bytes, coding: str) -> tuple[bytes, bool]:
    """The message in this coding if that gains, and whether it does."""
    if coding == IDENTITY or len(message) < SIZE_BYTES_MIN:
        return message, False
    return await compressed(message, coding), True
