"""The credentials for TLS."""

import ssl
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Credentials:
    """The trusted authorities, and a certificate and its key for servers that require one: a context for HTTP/2, and
    the same in PEM. Without `authorities`, those of the system are trusted.
    """

    context: ssl.SSLContext
    authorities: bytes | None = None
    key: bytes | None = None
    certificate: bytes | None = None
