"""TLS for custom domains: the certificate is chosen by the name that the client asks for (SNI).

Keys come from the store and are never written to a disk: OpenSSL reads files, so it is given one in memory.
"""

from __future__ import annotations

import os
import ssl

from functory.model import errors
from functory.model.domain import Certificate, Domain, TlsConfig

_VERSIONS = {
    "TLSv1.0": ssl.TLSVersion.TLSv1_2,
    "TLSv1.1": ssl.TLSVersion.TLSv1_2,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}
"""Older ones are broken: a domain that allows them is served by 1.2 and newer."""


SUITES = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
}
"""The suites of TLS 1.2 that are worth having, by their standard names; those of 1.3 are always on."""


class TlsSites:
    """The contexts by host name."""

    def __init__(self) -> None:
        self._sites: dict[str, ssl.SSLContext] = {}
        self.context = _bare()
        """What the listener is given; it only finds the right one."""
        self.context.sni_callback = self._choose

    def put(self, domain: Domain) -> None:
        """A domain is new or has changed."""
        if domain.encrypted and domain.certificate is not None:
            self._sites[domain.name] = site_context(domain.certificate, domain.tls)
        else:
            self.drop(domain.name)

    def drop(self, name: str) -> None:
        """A domain is gone."""
        self._sites.pop(name, None)

    def _choose(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
        site = self._sites.get((name or "").lower())
        if site is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        connection.context = site
        return None


def is_allowed(connection: ssl.SSLObject) -> bool:
    """Whether the version that was agreed on is one of its domain's.

    OpenSSL agrees on it before it looks at the name, so a domain's own limits can only be kept afterwards.
    """
    version = _VERSIONS.get(connection.version() or "")
    return version is not None and connection.context.minimum_version <= version <= connection.context.maximum_version


def site_context(certificate: Certificate, config: TlsConfig | None) -> ssl.SSLContext:
    """The context of one domain; `InvalidArgument` if OpenSSL cannot use the certificate with its key."""
    context = _bare()
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    if config is not None and config.min_version:
        context.minimum_version = _VERSIONS[config.min_version]
    if config is not None and config.max_version:
        context.maximum_version = _VERSIONS[config.max_version]
    if config is not None and config.cipher_suites:
        context.set_ciphers(":".join(SUITES[suite] for suite in config.cipher_suites))
    fd = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(fd, certificate.private_key.encode() + b"\n" + certificate.chain.encode())
        context.load_cert_chain(f"/proc/self/fd/{fd}", password=b"")
    except ssl.SSLError as wrong:
        raise errors.InvalidArgument(f"certConfig cannot be used: {wrong.reason or wrong}") from None
    finally:
        os.close(fd)
    return context


def _bare() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    return context
