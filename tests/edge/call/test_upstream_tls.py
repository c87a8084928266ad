"""TLS to the upstreams."""

import contextlib
import datetime
import ipaddress
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from edge.call.address import Address
from edge.call.upstream_tls import upstream_credentials
from edge.call.upstreams import Upstreams
from mesh.client import Credentials
from mesh.errors import InvalidArgument, Unavailable
from tests.edge.served import TRANSPORT

_SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


class Authority:
    """A certificate authority that writes certificates to a folder, with the extensions of RFC 5280 that Python 3.13
    checks.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Test authority")])
        self.file = folder / "ca.pem"
        own = (
            self._builder(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .add_extension(_SIGNS_CERTIFICATES, critical=True)
        )
        self.file.write_bytes(own.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))

    def issue(self, name: str) -> tuple[Path, Path]:
        """Creates a certificate for 127.0.0.1. Returns its file and that of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        signed = self._builder(subject, key).add_extension(address, False).sign(self._key, hashes.SHA256())
        files = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        files[0].write_bytes(signed.public_bytes(Encoding.PEM))
        files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return files

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder(self._name, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )


class _Echo(grpc.GenericRpcHandler):
    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        async def serve(request: bytes, context: Any) -> bytes:
            certificates = context.auth_context().get("x509_common_name", [b""])
            return request + bytes(certificates[0])

        return grpc.unary_unary_rpc_method_handler(serve)


@contextlib.asynccontextmanager
async def echo(authority: Authority, *, asks_for_certificates: bool = False) -> AsyncIterator[Address]:
    """Starts a TLS server that returns the request and the name in the client's certificate."""
    certificate, key = authority.issue("server")
    roots = authority.file.read_bytes() if asks_for_certificates else None
    pair = (key.read_bytes(), certificate.read_bytes())
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Echo(),))
    credentials = grpc.ssl_server_credentials([pair], roots, asks_for_certificates)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        yield Address("127.0.0.1", port, secure=True)
    finally:
        await server.stop(None)


async def called(address: Address, credentials: Credentials) -> bytes:
    """Calls the server. Returns its reply."""
    async with Upstreams({"*": address}, credentials, transport=TRANSPORT) as upstreams:
        return (await upstreams["any.Service"].unary("/any.Service/Call", b"hello ", timeout_s=10)).message


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Returns an authority that only this test trusts."""
    return Authority(tmp_path)


async def test_only_the_given_authority_is_trusted(authority: Authority) -> None:
    """A certificate of the given authority is accepted, but not with the system's or another authority."""
    async with echo(authority) as address:
        assert await called(address, upstream_credentials(authority.file, None, None)) == b"hello "
        with pytest.raises(Unavailable):
            await called(address, upstream_credentials(None, None, None))
        (authority.file.parent / "other").mkdir()
        other = Authority(authority.file.parent / "other")
        with pytest.raises(Unavailable):
            await called(address, upstream_credentials(other.file, None, None))


async def test_a_client_certificate_is_sent_on_request(authority: Authority) -> None:
    """A server that requires a client certificate accepts ours, and rejects a call without one."""
    async with echo(authority, asks_for_certificates=True) as address:
        assert await called(address, upstream_credentials(authority.file, *authority.issue("edge"))) == b"hello edge"
        with pytest.raises(Unavailable):
            await called(address, upstream_credentials(authority.file, None, None))


def test_invalid_files_raise(authority: Authority, tmp_path: Path) -> None:
    """Missing and invalid files raise at startup, with their names."""
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("x")
    certificate, key = authority.issue("edge")
    _, other_key = authority.issue("other")
    for files in (
        (nonsense, None, None),
        (tmp_path / "missing.pem", None, None),
        (authority.file, certificate, nonsense),
        (authority.file, certificate, other_key),
    ):
        with pytest.raises(InvalidArgument, match=r"Can't set up TLS to the upstreams with .*pem"):
            upstream_credentials(*files)
    upstream_credentials(authority.file, certificate, key)
