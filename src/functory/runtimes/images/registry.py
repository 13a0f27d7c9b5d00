"""Images in a registry, by the distribution API: manifests and blobs over HTTPS, with a token where one is asked for.

    GET /v2/NAME/manifests/TAG ── 401 ──→ GET realm (user and password, if there are any) ──→ token ──→ again
    GET /v2/NAME/blobs/DIGEST ── 307 ──→ wherever the registry keeps them, without our token

Plain HTTP only where a registry is on this machine. Where connections may lead at all is decided by what is handed in:
a registry's name is a user's input, and so is each place that it sends us on to. Own code on httpcore, as the clients
on the package index bring a blocking HTTP library with them and choose addresses themselves.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import IO, TypeVar
from urllib.parse import urlencode, urljoin, urlsplit

import httpcore
import msgspec

from functory.model import errors
from functory.runtimes.images import manifest, source
from functory.runtimes.images.challenge import Bearer, parse
from functory.runtimes.images.manifest import Descriptor
from functory.runtimes.images.reference import Reference
from functory.runtimes.images.source import Blob, Found

_CONNECT_S, _READ_S = 10.0, 60.0
_PIECE_BYTES = 1 << 20
_TRIES = 3
_HOPS = 5
_TOKEN_BYTES = 1 << 16
_REDIRECTS = (301, 302, 303, 307, 308)
_BROKEN = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError)


T = TypeVar("T")


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """How a registry is asked (`registryConfig`)."""

    user: str = ""
    password: str = ""
    authority: str = ""
    """Certificate of the authority to trust besides the system's, PEM."""
    insecure: bool = False
    """The registry's certificate is not checked."""


class _Token(msgspec.Struct, frozen=True, kw_only=True):
    token: str = ""
    access_token: str = ""


class Refused(errors.InvalidArgument):
    """A registry has answered no."""


class RegistrySource:
    """`source.Source` for one image of one registry."""

    def __init__(
        self,
        reference: Reference,
        credentials: Credentials,
        *,
        backend: httpcore.AsyncNetworkBackend | None = None,
        blob_max_bytes: int,
    ) -> None:
        """`backend`: makes connections, and refuses those that are not allowed."""
        self._reference = reference
        self._credentials = credentials
        self._blob_max_bytes = blob_max_bytes
        host = reference.host
        self._base = f"{'http' if is_loopback(host) else 'https'}://{host}/v2/{reference.repository}"
        self._authorization = b""
        self._backend = backend
        self._pool: httpcore.AsyncConnectionPool | None = None

    async def close(self) -> None:
        """Closes the connections."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.aclose()

    async def find(self) -> Found:
        """The image that the tag or digest means now."""
        reference = self._reference
        wanted = reference.digest or reference.tag
        data = await self._document(f"{self._base}/manifests/{wanted}", "manifest")
        digest = manifest.digest_of(data)
        if reference.digest:
            manifest.check_digest(data, reference.digest, "manifest")

        async def read(descriptor: Descriptor, what: str) -> bytes:
            kind = "manifests" if what == "manifest" else "blobs"
            found = await self._document(f"{self._base}/{kind}/sha256:{descriptor.hex}", what)
            manifest.check_digest(found, descriptor.digest, what)
            return found

        return await source.follow(Descriptor(digest=digest, size=len(data)), data, read, reference.at)

    async def fetch(self, packed: Descriptor, folder: Path) -> Blob:
        """Brings a layer into a file of `folder`."""
        if packed.size > self._blob_max_bytes:
            raise errors.EntityTooLarge(f"a layer has {packed.size} bytes; {self._blob_max_bytes} are allowed")
        path = folder / packed.hex
        await self._often(lambda: self._download(packed, path))
        return Blob(str(path), 0, packed.size, packed.hex)

    async def _download(self, packed: Descriptor, path: Path) -> None:
        seen = hashlib.sha256()
        with await asyncio.to_thread(path.open, "wb") as file:
            async with self._get(f"{self._base}/blobs/sha256:{packed.hex}") as answer:
                await _into(answer, file, packed.size, seen.update)
        if seen.hexdigest() != packed.hex:
            raise errors.Unavailable(f"the layer {packed.digest} was damaged or cut off on the way")

    async def _document(self, url: str, what: str) -> bytes:
        async def once() -> bytes:
            async with self._get(url) as answer:
                return await _small(answer, manifest.MAX_BYTES, f"the image's {what}")

        return await self._often(once)

    async def _often(self, work: Callable[[], Awaitable[T]]) -> T:
        """Again, if what went wrong may go well the next time."""
        for left in reversed(range(_TRIES)):
            try:
                return await work()
            except _BROKEN as failure:
                reason: errors.FunctoryError = errors.Unavailable(
                    f"the registry {self._reference.host} does not answer: {type(failure).__name__} {failure}"
                )
            except errors.Unavailable as failure:
                reason = failure
            if not left:
                raise reason
        raise AssertionError

    @contextlib.asynccontextmanager
    async def _get(self, url: str) -> AsyncIterator[httpcore.Response]:
        """The answer to a GET, good ones only, wherever it leads."""
        asked = False
        for _ in range(_HOPS + 1):
            own = url.startswith(self._base + "/")
            headers = [(b"accept", manifest.ACCEPT.encode())] if own else []
            if own and self._authorization:
                headers.append((b"authorization", self._authorization))
            async with self._stream(url, headers) as answer:
                if answer.status == 401 and own and not asked:
                    asked, challenge = True, _header(answer, b"www-authenticate")
                elif answer.status in _REDIRECTS:
                    url = _next(url, _header(answer, b"location"))
                    continue
                else:
                    self._judge(answer)
                    yield answer
                    return
            await self._authorize(challenge)
        raise Refused(f"the registry {self._reference.host} sends us on and on")

    @contextlib.asynccontextmanager
    async def _stream(self, url: str, headers: list[tuple[bytes, bytes]]) -> AsyncIterator[httpcore.Response]:
        times = {"connect": _CONNECT_S, "read": _READ_S, "write": _READ_S, "pool": _READ_S}
        if self._pool is None:  # reading the system's authorities takes longer than the loop may wait
            trusted = await asyncio.to_thread(_trust, self._credentials)
            self._pool = httpcore.AsyncConnectionPool(
                ssl_context=trusted, network_backend=self._backend, max_connections=4
            )
        async with self._pool.stream("GET", url, headers=headers, extensions={"timeout": times}) as answer:
            yield answer

    def _judge(self, answer: httpcore.Response) -> None:
        status, reference = answer.status, self._reference
        if status == 200:
            return
        shown = f"{reference.host}/{reference.repository}"
        if status in (401, 403):
            who = f"user {self._credentials.user!r}" if self._credentials.user else "anybody without a password"
            raise Refused(
                f"the registry does not give {shown} to {who} (HTTP {status})", hint="see registryConfig.authConfig"
            )
        if status == 404:
            wanted = reference.digest or reference.tag
            raise Refused(f"there is no image {shown} with {wanted}, or a part of it is missing (HTTP 404)")
        if status == 429 or status >= 500:
            raise errors.Unavailable(f"the registry {reference.host} answered HTTP {status}")
        raise Refused(f"the registry {reference.host} answered HTTP {status}")

    async def _authorize(self, header: str) -> None:
        """Gets what is asked for: a token, or sends user and password themselves."""
        wanted, credentials = parse(header), self._credentials
        basic = b"Basic " + base64.b64encode(f"{credentials.user}:{credentials.password}".encode())
        if not isinstance(wanted, Bearer):
            self._authorization = basic if credentials.user else b""
            return
        scope = wanted.scope or f"repository:{self._reference.repository}:pull"
        query = urlencode({"service": wanted.service, "scope": scope})
        url = _checked(f"{wanted.realm}{'&' if '?' in wanted.realm else '?'}{query}")
        headers = [(b"authorization", basic)] if credentials.user else []
        async with self._stream(url, headers) as answer:
            self._judge(answer)
            found = manifest.read(await _small(answer, _TOKEN_BYTES, "the token"), _Token, "token")
        token = found.token or found.access_token
        if not token.isascii() or not token.isprintable():
            raise Refused(f"the registry {self._reference.host} gave a token that cannot be sent")
        self._authorization = b"Bearer " + token.encode()


def is_loopback(host: str) -> bool:
    """Whether a registry is on this machine: nobody can listen to what is said to it."""
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(name).is_loopback
    return False


def _next(url: str, location: str) -> str:
    return _checked(urljoin(url, location))


def _checked(url: str) -> str:
    """A place that a registry names: encrypted, or on this machine."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.netloc.rpartition("@")[2])):
        raise Refused(
            f"the registry sends us on to {parts.scheme or 'no'}://{parts.netloc[:200]}, which is not encrypted"
        )
    return url


def _header(answer: httpcore.Response, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in answer.headers if key.lower() == name), "")


def _trust(credentials: Credentials) -> ssl.SSLContext:
    trusted = ssl.create_default_context()
    if credentials.authority:
        try:
            trusted.load_verify_locations(cadata=credentials.authority)
        except (ssl.SSLError, ValueError):
            raise errors.InvalidArgument("registryConfig.certConfig.rootCaCertBase64 holds no certificate") from None
    if credentials.insecure:
        trusted.check_hostname = False
        trusted.verify_mode = ssl.CERT_NONE
    return trusted


async def _small(answer: httpcore.Response, most: int, what: str) -> bytes:
    found = b""
    async for piece in answer.aiter_stream():
        found += piece
        if len(found) > most:
            raise errors.EntityTooLarge(f"{what} has more than {most} bytes")
    return found


async def _into(answer: httpcore.Response, file: IO[bytes], size: int, seen: Callable[[bytes], object]) -> None:
    """Pieces together, so that a thread is asked once per megabyte."""
    waiting, total = bytearray(), 0

    def put(data: bytes) -> None:
        seen(data)
        file.write(data)

    async for piece in answer.aiter_stream():
        total += len(piece)
        if total > size:
            raise errors.EntityTooLarge(f"a layer has more than the {size} bytes that the image's manifest says")
        waiting += piece
        if len(waiting) >= _PIECE_BYTES:
            await asyncio.to_thread(put, bytes(waiting))
            waiting.clear()
    await asyncio.to_thread(put, bytes(waiting))
