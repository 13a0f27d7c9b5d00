"""CreateCustomDomain and its siblings over in-memory parts, and their certificates on a real TLS port."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from control_kit import READER, STRANGER, Control, problem_of
from functory.control.app import create_app
from functory.model.domain import Certificate, Domain, Route, RouteConfig, TlsConfig
from functory.testing.edge import ACCOUNT, edge, read_answer
from functory.testing.instances import Asked
from functory.web.tls import TlsSites

ALL = "/2023-03-30/custom-domains"
ONE = f"{ALL}/www.example.com"
ROUTES = {"routes": [{"path": "/*", "functionName": "echo", "qualifier": "LATEST", "methods": ["GET"]}]}


def certificate(*names: str, key: ec.EllipticCurvePrivateKey | None = None) -> tuple[str, str]:
    """A certificate for these names, signed by itself, and its key."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return made.public_bytes(serialization.Encoding.PEM).decode(), pem.decode()


REFUSED = (ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)
CHAIN, KEY = certificate("www.example.com", "*.wild.example.com")
CERT = {"certName": "mine", "certificate": CHAIN, "privateKey": KEY}


class Told:
    """A control API that tells of its domains."""

    def __init__(self) -> None:
        self.control = Control()
        self.changed: list[Domain] = []
        self.deleted: list[Domain] = []
        parts = replace(
            self.control.parts, on_domain_changed=self.changed.append, on_domain_deleted=self.deleted.append
        )
        transport = httpx.ASGITransport(create_app(parts))
        self.control.client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:9000")

    async def create(self, **fields: Any) -> httpx.Response:
        body = {"domainName": "www.example.com", "protocol": "HTTP", "routeConfig": ROUTES, **fields}
        return await self.control.call("POST", ALL, json=body)


@pytest.fixture
async def told() -> AsyncIterator[Told]:
    one = Told()
    await one.control.store.start()
    yield one
    await one.control.client.aclose()


async def test_a_domain_is_created_got_changed_listed_and_deleted(told: Told) -> None:
    made = (await told.create(domainName="WWW.Example.com", authConfig={"authType": "function"})).json()
    assert made["domainName"] == "www.example.com"
    assert made["routeConfig"] == ROUTES
    assert made["authConfig"] == {"authType": "function"}
    assert (await told.control.call("GET", ONE)).json() == made
    changed = await told.control.call("PUT", ONE, json={"protocol": "HTTP,HTTPS", "certConfig": CERT})
    assert changed.json()["routeConfig"] == ROUTES
    assert changed.json()["certConfig"] == {"certName": "mine", "certificate": CHAIN}
    assert "PRIVATE KEY" not in changed.text
    assert (await told.control.call("GET", ALL)).json() == {"customDomains": [changed.json()]}
    again = (await told.control.call("PUT", ONE, json={"corsConfig": {"allowOrigins": ["*"]}})).json()
    assert again["certConfig"]["certName"] == "mine"
    assert (await told.control.call("DELETE", ONE)).status_code == 204
    assert problem_of(await told.control.call("GET", ONE))[:2] == (404, "DomainNameNotFound")
    assert [one.epoch for one in told.changed] == [1, 2, 3]
    assert told.changed[2].certificate is not None
    assert told.changed[2].certificate.private_key == KEY
    assert [one.name for one in told.deleted] == ["www.example.com"]


async def test_a_domain_belongs_to_one_account(told: Told) -> None:
    await told.create()
    assert problem_of(await told.create())[:2] == (409, "DomainNameAlreadyExists")
    body = {"domainName": "www.example.com"}
    taken = await told.control.call("POST", ALL, json=body, key=STRANGER)
    assert problem_of(taken)[:2] == (409, "DomainNameAlreadyExists")
    assert problem_of(await told.control.call("DELETE", ONE, key=STRANGER))[0] == 404
    assert problem_of(await told.control.call("DELETE", ONE, key=READER))[0] == 403


@pytest.mark.parametrize(
    "name",
    ["api.example.com", "functory-upload.oss-cn-hangzhou.aliyuncs.com", "1234567890123456.cn-hangzhou.fc.aliyuncs.com"],
)
async def test_a_name_under_which_the_node_itself_is_reached_can_be_taken_by_nobody(told: Told, name: str) -> None:
    parts = replace(told.control.parts, is_own_host=lambda host: host == "api.example.com")
    told.control.client = httpx.AsyncClient(transport=httpx.ASGITransport(create_app(parts)), base_url="http://x")
    assert problem_of(await told.create(domainName=name.upper()))[:2] == (403, "AccessDenied")
    assert told.changed == []
    assert (await told.create(domainName=f"not-{name.partition('.')[0]}.example.org")).status_code == 200
    await told.control.client.aclose()


async def test_pages_of_domains_follow_each_other(told: Told) -> None:
    for letter in "cab":
        assert (await told.create(domainName=f"{letter}.example.com")).status_code == 200
    first = (await told.control.call("GET", ALL, query=[("limit", "2")])).json()
    rest = (await told.control.call("GET", ALL, query=[("nextToken", first["nextToken"])])).json()
    assert [one["domainName"][0] for one in first["customDomains"] + rest["customDomains"]] == ["a", "b", "c"]


OTHER_CHAIN, OTHER_KEY = certificate("other.example.com")


@pytest.mark.parametrize(
    "fields",
    [
        {"domainName": "localhost"},
        {"domainName": "a b.com"},
        {"domainName": "1.2.3.4"},
        {"domainName": "x" * 300 + ".com"},
        {"protocol": "FTP"},
        {"protocol": "HTTPS"},
        {"routeConfig": {"routes": [{"path": "a", "functionName": "f"}]}},
        {"routeConfig": {"routes": [{"path": "/a*", "functionName": "f"}]}},
        {"routeConfig": {"routes": [{"path": "/*/b", "functionName": "f"}]}},
        {"routeConfig": {"routes": [{"path": "/a", "functionName": "9"}]}},
        {"routeConfig": {"routes": [{"path": "/a", "functionName": "f"}] * 2}},
        {"routeConfig": {"routes": [{"path": f"/{n}", "functionName": "f"} for n in range(101)]}},
        {"routeConfig": {"routes": [{"path": "/a", "functionName": "f", "methods": ["BREW"]}]}},
        {
            "routeConfig": {
                "routes": [
                    {
                        "path": "/a",
                        "functionName": "f",
                        "rewriteConfig": {"regexRules": [{"match": "(a+)+", "replacement": "/"}]},
                    }
                ]
            }
        },
        {"authConfig": {"authType": "jwt", "authInfo": "{}"}},
        {"authConfig": {"authType": "x"}},
        {"certConfig": {"certName": "c", "certificate": "x", "privateKey": "y"}},
        {"certConfig": {"certName": "c", "certificate": CHAIN, "privateKey": "y"}},
        {"certConfig": {"certName": "c", "certificate": CHAIN, "privateKey": OTHER_KEY}},
        {"certConfig": {"certName": "c", "certificate": OTHER_CHAIN, "privateKey": OTHER_KEY}},
        {"tlsConfig": {"minVersion": "SSLv3", "cipherSuites": []}},
        {"tlsConfig": {"minVersion": "TLSv1.0", "maxVersion": "TLSv1.1"}},
        {"tlsConfig": {"minVersion": "TLSv1.2", "cipherSuites": ["TLS_RSA_WITH_RC4_128_SHA"]}},
    ],
)
async def test_a_domain_that_cannot_be_served_is_not_stored(told: Told, fields: dict[str, Any]) -> None:
    status, code, message = problem_of(await told.create(**fields))
    assert (status, code) == (400, "InvalidArgument"), message
    assert told.changed == []
    assert "PRIVATE" not in message


# --- TLS --------------------------------------------------------------------------------------------------------------


def site(name: str, chain: str, key: str, tls: TlsConfig | None = None) -> Domain:
    return Domain(
        account_id=ACCOUNT,
        name=name,
        protocol="HTTPS",
        routes=RouteConfig(routes=[Route(path="/*", function_name="echo")]),
        certificate=Certificate(name="c", chain=chain, private_key=key),
        tls=tls,
        created_at_ms=0,
        modified_at_ms=0,
    )


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


async def hello(asked: Asked) -> bytes:
    return asked.payload if asked.payload[:1] != b"{" else b"host " + _host(asked.payload)


def _host(event: bytes) -> bytes:
    return str(msgspec.json.decode(event)["requestContext"]["domainName"]).encode()


def trusting(chain: str, **versions: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=chain)
    for name, version in versions.items():
        setattr(context, name, version)
    return context


async def get(port: int, name: str, context: ssl.SSLContext) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
    try:
        writer.write(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        answer = await read_answer(reader)
        return answer.status, answer.body
    finally:
        writer.close()


async def test_each_domain_shows_its_own_certificate_and_unknown_names_none() -> None:
    tls, port = TlsSites(), free_port()
    async with edge(hello, tls=tls, tls_port=port) as node:
        for domain in (site("www.example.com", CHAIN, KEY), site("other.example.com", OTHER_CHAIN, OTHER_KEY)):
            node.targets.put_domain(domain)
            tls.put(domain)
        assert await get(port, "www.example.com", trusting(CHAIN)) == (200, b"host www.example.com")
        assert await get(port, "other.example.com", trusting(OTHER_CHAIN)) == (200, b"host other.example.com")
        with pytest.raises(REFUSED):
            await get(port, "other.example.com", trusting(CHAIN))
        with pytest.raises(REFUSED):
            await get(port, "none.example.com", trusting(CHAIN))
        tls.drop("other.example.com")
        with pytest.raises(REFUSED):
            await get(port, "other.example.com", trusting(OTHER_CHAIN))


async def test_a_domain_says_which_versions_it_speaks() -> None:
    tls, port = TlsSites(), free_port()
    async with edge(hello, tls=tls, tls_port=port) as node:
        domain = site("www.example.com", CHAIN, KEY, TlsConfig(min_version="TLSv1.3"))
        node.targets.put_domain(domain)
        tls.put(domain)
        with pytest.raises(REFUSED):
            await get(port, "www.example.com", trusting(CHAIN, maximum_version=ssl.TLSVersion.TLSv1_2))
        assert (await get(port, "www.example.com", trusting(CHAIN)))[0] == 200
        suites = ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]
        tls.put(site("www.example.com", CHAIN, KEY, TlsConfig(min_version="TLSv1.0", cipher_suites=suites)))
        old = trusting(CHAIN, maximum_version=ssl.TLSVersion.TLSv1_2)
        assert (await get(port, "www.example.com", old))[0] == 200
        old.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
        with pytest.raises(REFUSED):
            await get(port, "www.example.com", old)
