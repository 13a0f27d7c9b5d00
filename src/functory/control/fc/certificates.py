"""Certificates of custom domains: whether certificate, key and name belong together, before anything is stored."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from functory.model import errors
from functory.model.domain import Certificate, TlsConfig
from functory.web import tls

MAX_PEM = 64 * 1024
VERSIONS = ("TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3")


def check(certificate: Certificate, host: str, config: TlsConfig | None) -> None:
    """Passes if the chain can be served for `host` with this key; `InvalidArgument` says why not."""
    if max(len(certificate.chain), len(certificate.private_key)) > MAX_PEM:
        raise errors.InvalidArgument(f"certConfig: certificate and privateKey may have {MAX_PEM} characters each")
    try:
        chain = x509.load_pem_x509_certificates(certificate.chain.encode())
    except ValueError as wrong:
        raise errors.InvalidArgument(f"certConfig.certificate is not a certificate in PEM: {wrong}") from None
    try:
        key = serialization.load_pem_private_key(certificate.private_key.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # What is wrong is not told in the library's words: they might hold parts of the key.
        raise errors.InvalidArgument("certConfig.privateKey is not a private key in PEM without a password") from None
    if _public(key.public_key()) != _public(chain[0].public_key()):
        raise errors.InvalidArgument("certConfig: privateKey does not belong to certificate")
    names = _names(chain[0])
    if not any(_covers(name, host) for name in names):
        raise errors.InvalidArgument(f"certConfig: the certificate is for {', '.join(names[:5])}, not for {host}")
    tls.site_context(certificate, config)


def check_tls(config: TlsConfig | None) -> None:
    """Passes if the versions and suites are known; empty fields say nothing."""
    if config is None:
        return
    for field, value in (("minVersion", config.min_version), ("maxVersion", config.max_version)):
        if value and value not in VERSIONS:
            raise errors.InvalidArgument(f"tlsConfig.{field} {value[:20]!r} is not one of {', '.join(VERSIONS)}")
    if config.max_version in ("TLSv1.0", "TLSv1.1"):
        raise errors.InvalidArgument("tlsConfig.maxVersion: this node speaks TLS 1.2 and newer")
    for suite in config.cipher_suites or []:
        if suite not in tls.SUITES:
            raise errors.InvalidArgument(
                f"tlsConfig.cipherSuites: {suite[:60]!r} is not one of {', '.join(tls.SUITES)}"
            )


def _public(key: object) -> bytes:
    return key.public_bytes(  # type: ignore[attr-defined,no-any-return]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return [name.lower() for name in names.get_values_for_type(x509.DNSName)]
    except x509.ExtensionNotFound:
        common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return [str(name.value).lower() for name in common]


def _covers(name: str, host: str) -> bool:
    return name == host or (name.startswith("*.") and host.partition(".")[2] == name[2:])
