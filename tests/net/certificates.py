"""Certificates made on the spot: good ones from an authority of our own, and each kind of bad one."""

import datetime
import ssl
from functools import cached_property
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)
LONG_AGO = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
FAR_AHEAD = datetime.datetime(2090, 1, 1, tzinfo=datetime.UTC)


class Authority:
    """An authority whose certificate lies in ``ca_file``, and servers' contexts with certificates of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ca = trustme.CA()
        self.ca_file = str(folder / "ca.pem")
        self._ca.cert_pem.write_to_path(self.ca_file)

    def context(self, *names: str, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        """A server with a good certificate for ``names``."""
        context = server_context()
        if version is not None:
            context.minimum_version = context.maximum_version = version
        self._ca.issue_cert(*names).configure_cert(context)
        return context

    def expired(self, name: str) -> ssl.SSLContext:
        """A server whose certificate ran out."""
        context = server_context()
        self._ca.issue_cert(name, not_before=LONG_AGO, not_after=LONG_AGO + DAY).configure_cert(context)
        return context

    def not_yet_valid(self, name: str) -> ssl.SSLContext:
        """A server whose certificate is for later."""
        context = server_context()
        self._ca.issue_cert(name, not_before=FAR_AHEAD, not_after=FAR_AHEAD + DAY).configure_cert(context)
        return context

    def unknown_issuer(self, name: str) -> ssl.SSLContext:
        """A server with a good certificate of an authority nobody knows."""
        context = server_context()
        trustme.CA().issue_cert(name).configure_cert(context)
        return context

    def self_signed(self, name: str) -> ssl.SSLContext:
        """A server that vouches for itself."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - DAY)
            .not_valid_after(now + DAY)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(key, hashes.SHA256())
        )
        path = self._folder / "self-signed.pem"
        plain = serialization.NoEncryption()
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        context = server_context()
        context.load_cert_chain(path)
        return context

    def wants_client_certificate(self, name: str, version: ssl.TLSVersion) -> ssl.SSLContext:
        """A server that lets nobody in without a certificate."""
        context = self.context(name, version=version)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(self.ca_file)
        return context

    @cached_property
    def not_a_certificate(self) -> str:
        """Path of a file that holds no certificate."""
        path = self._folder / "nothing.pem"
        path.write_text("nothing\n")
        return str(path)


def server_context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
