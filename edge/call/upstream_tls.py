"""What TLS to the upstreams is built on: whose certificates are believed, and which one is shown."""

import ssl
from pathlib import Path

import grpc

from mesh.errors import InvalidArgument


def upstream_credentials(
    ca_file: Path | None, cert_file: Path | None, key_file: Path | None
) -> grpc.ChannelCredentials:
    """The credentials of channels that speak TLS. Without `ca_file` the authorities that this machine trusts are
    believed; `cert_file` and `key_file` prove who we are, where upstreams ask for that.

    Raises InvalidArgument if a file can't be read, or does not hold what it should.
    """
    files = (ca_file or _system_authorities(), key_file, cert_file)
    try:
        # gRPC takes any bytes, and fails when it connects.
        context = ssl.create_default_context(cafile=files[0])
        if cert_file is not None:
            context.load_cert_chain(cert_file, key_file)
        authorities, key, certificate = (None if file is None else file.read_bytes() for file in files)
    except OSError as error:
        names = ", ".join(str(file) for file in files if file is not None)
        raise InvalidArgument(
            f"TLS to the upstreams can't be set up with {names}: {error.strerror or error}."
        ) from error
    return grpc.ssl_channel_credentials(authorities, key, certificate)


def _system_authorities() -> Path | None:
    """The file of the authorities that this machine trusts, None where it has none: gRPC then takes its own list."""
    file = ssl.get_default_verify_paths().cafile
    return Path(file) if file is not None else None
