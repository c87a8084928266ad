"""TLS credentials for connections to the upstreams."""

import ssl
from pathlib import Path

import grpc

from mesh.errors import InvalidArgument


def upstream_credentials(
    ca_file: Path | None, cert_file: Path | None, key_file: Path | None
) -> grpc.ChannelCredentials:
    """Returns the credentials for channels with TLS. Without `ca_file` they trust the authorities of the system;
    `cert_file` and `key_file` authenticate the edge to upstreams that require client certificates.

    Raises InvalidArgument if a file can't be read or has invalid content.
    """
    files = (ca_file or _system_authorities(), key_file, cert_file)
    try:
        # gRPC accepts any bytes here, and fails only when it connects.
        context = ssl.create_default_context(cafile=files[0])
        if cert_file is not None:
            context.load_cert_chain(cert_file, key_file)
        authorities, key, certificate = (None if file is None else file.read_bytes() for file in files)
    except OSError as error:
        names = ", ".join(str(file) for file in files if file is not None)
        raise InvalidArgument(f"Can't set up TLS to the upstreams with {names}: {error.strerror or error}.") from error
    return grpc.ssl_channel_credentials(authorities, key, certificate)


def _system_authorities() -> Path | None:
    """Returns the file of the system's authorities, or None if there is none; gRPC then uses its own list."""
    file = ssl.get_default_verify_paths().cafile
    return Path(file) if file is not None else None
