"""The coding of single messages. Each is compressed separately, so that none waits for the next."""

from edge.http.compression import SIZE_BYTES_MIN
from edge.http.compression import compress as compress_body
from edge.http.decompression import CODINGS, IDENTITY, CorruptBody
from edge.http.decompression import decompress as decompress_body
from edge.http.negotiation import preferred_coding
from edge.http.whole_body import BodyLimits
from edge.protocols.rpc.envelope import too_large
from mesh.errors import InvalidArgument, Unimplemented


def parse(value: bytes | None) -> str:
    """Returns the coding that a header or a parameter names. Raises Unimplemented if it is not supported."""
    coding = (value or b"").decode("latin-1").strip().lower() or IDENTITY
    if coding != IDENTITY and coding not in CODINGS:
        text = f"The coding of the messages is not supported; send them uncompressed or in one of {', '.join(CODINGS)}."
        raise Unimplemented(text, reason="ENCODING_NOT_SUPPORTED")
    return coding


async def decompress(content: bytes, coding: str, limits: BodyLimits) -> bytes:
    """Returns the decompressed message. Raises InvalidArgument if it is damaged, ResourceExhausted if it is too
    large.
    """
    if coding == IDENTITY or not content:
        return content
    try:
        plain = await decompress_body(content, coding, limits.size_bytes_max)
    except CorruptBody as error:
        raise InvalidArgument(f"The message {error}.", reason="BODY_MALFORMED") from error
    if len(plain) > limits.size_bytes_max:
        raise too_large(limits)
    return plain


def choose(accepted: bytes | None, given: str) -> str:
    """Returns the coding for responses. `accepted` is the client's header; without it, the coding of the request
    (`given`) is acceptable.
    """
    wanted = given.encode() if accepted is None else accepted
    return preferred_coding(wanted, CODINGS) or IDENTITY


async def compress(message: bytes, coding: str) -> tuple[bytes, bool]:
    """Compresses a message if that makes it smaller. Returns the message and whether it is compressed."""
    if coding == IDENTITY or len(message) < SIZE_BYTES_MIN:
        return message, False
    return await compress_body(message, coding), True
