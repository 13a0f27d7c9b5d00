"""A signer and a control API over in-memory parts, for the tests of several folders."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import fastcrc
import httpx
import msgspec

from functory.control.app import create_app
from functory.control.parts import ControlParts, Limits
from functory.model import errors, ids
from functory.model.account import AccessKey, Scope
from functory.model.audit import AuditEvent
from functory.model.function import Function, LayerRef
from functory.model.instance import InstanceView
from functory.node.credentials import RoleBook
from functory.store.memory import MemoryStore
from functory.testing.clock import JumpingClock
from functory.web.links import Links
from functory.web.nonces import Nonces
from functory.web.sessions import Sessions
from functory.web.tokens import CallTokens

ACCOUNT = "1234567890123456"
ADMIN = AccessKey(access_key_id="LTAIadmin", secret="admin-secret", account_id=ACCOUNT)
READER = AccessKey(access_key_id="LTAIreader", secret="reader-secret", account_id=ACCOUNT, scope=Scope.READ)
CALLER = AccessKey(access_key_id="LTAIcaller", secret="caller-secret", account_id=ACCOUNT, scope=Scope.INVOKE)
DEPLOYER = AccessKey(access_key_id="LTAIdeployer", secret="deployer-secret", account_id=ACCOUNT, scope=Scope.DEPLOY)
STRANGER = AccessKey(access_key_id="LTAIstranger", secret="stranger-secret", account_id="6543210987654321")
RETIRED = AccessKey(access_key_id="LTAIretired", secret="retired-secret", account_id=ACCOUNT, active=False)
KEYS = {key.access_key_id: key for key in (ADMIN, READER, CALLER, DEPLOYER, STRANGER, RETIRED)}

HOST = "127.0.0.1:9000"


def date_text(at_ms: int) -> str:
    """`x-acs-date` of a moment."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def canonical_query(pairs: Sequence[tuple[str, str]], *, encode_names: bool = True) -> str:
    """The query as it is signed; some clients leave the names unencoded."""
    return "&".join(
        f"{quote(name, safe='~') if encode_names else name}={quote(value, safe='~')}" for name, value in sorted(pairs)
    )


def sign(
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    key: AccessKey,
    *,
    date: str,
    nonce: str,
    query: str = "",
    leave_out: Sequence[str] = (),
) -> dict[str, str]:
    """All headers of a signed request, names in lower case. `query`: canonical. `leave_out`: names not signed."""
    body_hash = hashlib.sha256(body).hexdigest()
    whole = {
        "host": HOST,
        "x-acs-date": date,
        "x-acs-signature-nonce": nonce,
        "x-acs-content-sha256": body_hash,
        **headers,
    }
    names = sorted(name for name in whole if name not in leave_out)
    lines = "".join(f"{name}:{whole[name].strip()}\n" for name in names)
    request = "\n".join((method, path, query, lines, ";".join(names), body_hash))
    to_sign = "ACS3-HMAC-SHA256\n" + hashlib.sha256(request.encode()).hexdigest()
    signature = hmac.new(key.secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    whole["authorization"] = (
        f"ACS3-HMAC-SHA256 Credential={key.access_key_id},SignedHeaders={';'.join(names)},Signature={signature}"
    )
    return whole


def zip_of(**files: str) -> bytes:
    """A zip of `name="content"`; a double underscore in a name stands for a dot."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name.replace("__", ".")), content)
    return out.getvalue()


ECHO_ZIP = zip_of(index__py="def handler(event, context):\n    return event\n")


def b64(data: bytes) -> str:
    """Base64 text."""
    return base64.b64encode(data).decode()


class StoredCode(msgspec.Struct, frozen=True):
    """What the code store answers."""

    digest: str
    checksum: str
    size_bytes: int


class MemoryCode:
    """A code store that holds archives in memory."""

    def __init__(self) -> None:
        self.archives: dict[str, bytes] = {}

    async def add(self, zip_bytes: bytes, *, checksum: str | None = None) -> StoredCode:
        if not zipfile.is_zipfile(io.BytesIO(zip_bytes)):
            raise errors.InvalidArgument("code.zipFile is not a zip archive")
        found = str(fastcrc.crc64.xz(zip_bytes))
        if checksum not in (None, found):
            raise errors.InvalidArgument(f"code.checksum {checksum} is not that of the zip that arrived, {found}")
        digest = hashlib.sha256(zip_bytes).hexdigest()
        self.archives[digest] = zip_bytes
        return StoredCode(digest, found, len(zip_bytes))

    async def zip(self, digest: str) -> bytes:
        if digest not in self.archives:
            raise errors.StorageCorrupt(f"the code {digest[:16]} is lost")
        return self.archives[digest]


class BuiltLayer(msgspec.Struct, frozen=True):
    """What the layer builder answers."""

    layer: LayerRef
    built: bool
    seconds: float


class MemoryLayerBuilder:
    """Remembers requirements and installs nothing."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def build(self, requirements: str, runtime: str, account_id: str) -> BuiltLayer:
        digest = hashlib.sha256(f"{runtime}\n{requirements}".encode()).hexdigest()
        found = await self._store.layers.get(digest)
        if found is not None:
            return BuiltLayer(found, False, 0.0)
        arn = f"acs:fc:local:{account_id}:layers/deps-{digest[:12]}/versions/1"
        layer = LayerRef(arn=arn, digest=digest, size_bytes=len(requirements))
        await self._store.layers.put(digest, layer)
        return BuiltLayer(layer, True, 0.25)


def sealed(secret: str) -> str:
    """As this node makes a password unreadable."""
    return secret[::-1]


def resolve_runtime(name: str) -> tuple[str, str, str]:
    """python3.10 runs on 3.11 with a note; `custom` as it is; others are not there."""
    if name == "python3.10":
        return "/usr/bin/python3.11", "3.11", "runs on Python 3.11"
    if name in ("python3", "custom", "custom-container"):
        return "/usr/bin/python3.11", "3.11", ""
    raise errors.InvalidArgument(f"runtime {name!r} is not supported by this node")


@dataclass
class Control:
    """A control API over in-memory parts."""

    clock: JumpingClock = field(default_factory=JumpingClock)
    store: MemoryStore = field(default_factory=MemoryStore)
    code: MemoryCode = field(default_factory=MemoryCode)
    limits: Limits = field(default_factory=Limits)
    views: list[InstanceView] = field(default_factory=list)
    changed: list[Function] = field(default_factory=list)
    deleted: list[Function] = field(default_factory=list)
    audited: list[AuditEvent] = field(default_factory=list)

    def __post_init__(self) -> None:
        secret = b"a secret of the node of 32 bytes"
        self.nonces = Nonces()
        self.tokens = CallTokens(secret, self.clock, KEYS.get)
        self.roles = RoleBook(self.store.roles)
        self.sessions = Sessions(secret, self.clock, self.roles.find)
        self.parts = ControlParts(
            store=self.store,
            code=self.code,
            layers=MemoryLayerBuilder(self.store),
            runtimes=resolve_runtime,
            seal=lambda secret, _: sealed(secret),
            clock=self.clock,
            new_request_id=ids.request_id_maker(7, self.clock.now_s),
            keys=KEYS.get,
            nonces=self.nonces,
            sessions=self.sessions,
            on_roles_changed=self._roles_changed,
            tokens=self.tokens,
            links=Links(secret, self.clock),
            region="local",
            base_url=lambda: f"http://{HOST}",
            instances=lambda account, name: [
                view for view in self.views if (view.function.account_id, view.function.name) == (account, name)
            ],
            node_info=self.node_info,
            on_function_changed=self.changed.append,
            on_function_deleted=self.deleted.append,
            owner_account=lambda: ACCOUNT,
            on_call=self.audited.append,
            limits=self.limits,
        )
        self.app = create_app(self.parts)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=f"http://{HOST}")
        self._nonce = 0

    def node_info(self) -> dict[str, Any]:
        """What the node tells of itself."""
        return {
            "version": "0.1.0",
            "tier": {"name": "A", "summary": "all shut", "missing": []},
            "uptimeS": 3,
            "instances": {"alive": 0, "busy": 0, "starting": 0},
            "runtimes": [],
            "limits": {},
        }

    async def _roles_changed(self) -> None:
        await self.roles.reload()
        self.sessions.roles_changed()

    def nonce(self) -> str:
        """A new nonce."""
        self._nonce += 1
        return f"{self._nonce:032x}"

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        json: object = None,
        body: bytes = b"",
        key: AccessKey | None = ADMIN,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """A signed call (unsigned if `key` is None). `path` is sent as it is."""
        content = body if json is None else msgspec.json.encode(json)
        whole = dict(headers or {})
        if key is not None:
            date = date_text(self.clock.now_ms())
            signed_query = canonical_query(query)
            whole = sign(method, path, whole, content, key, date=date, nonce=self.nonce(), query=signed_query)
        target = path + ("?" + urlencode(list(query)) if query else "")
        return await self.client.request(method, target, content=content, headers=whole)

    async def create(self, name: str = "echo", **fields: object) -> httpx.Response:
        """CreateFunction with the smallest input, and more if given."""
        whole: dict[str, object] = {
            "functionName": name,
            "runtime": "python3",
            "handler": "index.handler",
            "code": {"zipFile": b64(ECHO_ZIP)},
            **fields,
        }
        given = {name: value for name, value in whole.items() if value is not ...}
        return await self.call("POST", "/2023-03-30/functions", json=given)


def problem_of(response: httpx.Response) -> tuple[int, str, str]:
    """Status, code and message of an error answer, whose shape is checked."""
    body = response.json()
    assert set(body) == {"Code", "Message", "RequestId"}, body
    assert body["RequestId"] == response.headers["x-fc-request-id"] == response.headers["x-acs-request-id"]
    assert response.headers["content-type"] == "application/json"
    return response.status_code, body["Code"], body["Message"]
