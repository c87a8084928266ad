"""TLS credentials for connections to the upstreams."""

import ssl
from pathlib import Path
from typing import Final

from mesh.client import Credentials
from mesh.errors import InvalidArgument

CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""The ciphers of TLS 1.2 that HTTP/2 does not prohibit: RFC 9113, section 9.2.2. Those of TLS 1.3 are all allowed."""


def upstream_credentials(ca_file: Path | None, cert_file: Path | None, key_file: Path | None) -> Credentials:
    """Returns the credentials for connections with TLS. Without `ca_file` they trust the authorities of the system;
    `cert_file` and `key_file` authenticate the edge to upstreams that require client certificates.

    Raises InvalidArgument if a file can't be read or has invalid content.
    """
    files = (ca_file or _system_authorities(), key_file, cert_file)
    try:
        # gRPC's library accepts any bytes, and fails only when it connects.
        context = ssl.create_default_context(cafile=files[0])
        if cert_file is not None:
            context.load_cert_chain(cert_file, key_file)
        authorities, key, certificate = (None if file is None else file.read_bytes() for file in files)
    except OSError as error:
        names = ", ".join(str(file) for file in files if file is not None)
        raise InvalidArgument(f"Can't set up TLS to the upstreams with {names}: {error.strerror or error}.") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.set_alpn_protocols(["h2"])
    return Credentials(context, authorities, key, certificate)


def _system_authorities() -> Path | None:
    """Returns the file of the system's authorities, or None if there is none; gRPC then uses its own list."""
    file = ssl.get_default_verify_paths().cafile
    return Path(file) if file is not None else None
