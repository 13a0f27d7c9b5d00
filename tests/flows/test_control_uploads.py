"""The way of `s`: keys for one object, the object, a function made of it. Requests as its clients send them."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from email.utils import formatdate
from typing import Any

import fastcrc
import httpx
import pytest

from control_kit import ACCOUNT, ADMIN, ECHO_ZIP, READER, STRANGER, Control, problem_of
from functory.blob.memory import MemoryBlob
from functory.control.app import create_app
from functory.control.uploads import LIFE_S, PREFIX, WAITING_MAX, Uploads
from functory.model import errors
from functory.model.account import AccessKey

TOKEN = "/2016-08-15/tempBucketToken"
HOST = "functory-upload.oss-local.aliyuncs.com"


class Way:
    """A control API with uploads."""

    def __init__(self) -> None:
        self.control = Control()
        self.blob = MemoryBlob()
        self._numbers = 0
        self.uploads = Uploads(
            self.blob,
            secret=b"s" * 32,
            clock=self.control.clock,
            random=self._random,
            region="local",
            object_max_bytes=100_000,
        )
        app = create_app(replace(self.control.parts, uploads=self.uploads))
        transport = httpx.ASGITransport(app)
        self.control.client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:9000")

    def _random(self, size: int) -> bytes:
        self._numbers += 1
        return self._numbers.to_bytes(size, "big")

    def date(self) -> str:
        return formatdate(self.control.clock.now_ms() / 1000, usegmt=True)

    async def token(self, key: AccessKey = ADMIN, *, tail: str = "", **changes: str) -> httpx.Response:
        """As the 2016 client signs it; some of them end the text with an empty line for the query."""
        headers = {"date": self.date(), "x-fc-account-id": ACCOUNT, "content-type": "application/json", **changes}
        lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers) if name.startswith("x-fc-"))
        text = f"GET\n\n{headers['content-type']}\n{headers['date']}\n{lines}{TOKEN}{tail}"
        mark = base64.b64encode(hmac.digest(key.secret.encode(), text.encode(), "sha256")).decode()
        headers["authorization"] = f"FC {key.access_key_id}:{mark}"
        return await self.control.client.get(TOKEN, headers=headers)

    async def put(
        self, grant: Mapping[str, Any], data: bytes, *, path: str = "", secret: str = "", **changes: str
    ) -> httpx.Response:
        """As the object store's client does it: the bucket is in the host only."""
        keys = grant["credentials"]
        path = path or f"/{ACCOUNT}/{grant['objectName']}"
        headers = {
            "host": HOST,
            "content-type": "application/zip",
            "x-oss-date": self.date(),
            "x-oss-security-token": keys["SecurityToken"],
            **{name.replace("_", "-"): value for name, value in changes.items()},
        }
        lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers) if name.startswith("x-oss-"))
        md5 = headers.get("content-md5", "")
        text = f"PUT\n{md5}\n{headers['content-type']}\n{headers['x-oss-date']}\n{lines}/functory-upload{path}"
        mark = hmac.digest((secret or keys["AccessKeySecret"]).encode(), text.encode(), "sha1")
        headers["authorization"] = f"OSS {keys['AccessKeyId']}:{base64.b64encode(mark).decode()}"
        return await self.control.client.put(path, content=data, headers=headers)

    async def create(self, grant: Mapping[str, Any], **changes: str) -> httpx.Response:
        code = {"ossBucketName": grant["ossBucket"], "ossObjectName": f"{ACCOUNT}/{grant['objectName']}", **changes}
        return await self.control.create(code=code)


@pytest.fixture
async def way() -> AsyncIterator[Way]:
    one = Way()
    await one.control.store.start()
    await one.blob.start()
    yield one
    await one.control.client.aclose()


@pytest.mark.parametrize("tail", ["", "\n"])
async def test_code_goes_from_token_to_object_to_function(way: Way, tail: str) -> None:
    answer = await way.token(tail=tail)
    grant = answer.json()
    assert set(grant["credentials"]) == {"AccessKeyId", "AccessKeySecret", "SecurityToken"}
    md5 = hashlib.md5(ECHO_ZIP, usedforsecurity=False)
    put = await way.put(grant, ECHO_ZIP, content_md5=base64.b64encode(md5.digest()).decode())
    assert put.status_code == 200, put.text
    assert put.headers["etag"] == f'"{md5.hexdigest().upper()}"'
    assert put.headers["x-oss-hash-crc64ecma"] == str(fastcrc.crc64.xz(ECHO_ZIP))
    made = await way.create(grant)
    assert made.status_code == 200, made.text
    assert made.json()["codeChecksum"] == str(fastcrc.crc64.xz(ECHO_ZIP))
    code = {"ossBucketName": grant["ossBucket"], "ossObjectName": f"{ACCOUNT}/{grant['objectName']}"}
    changed = await way.control.call("PUT", "/2023-03-30/functions/echo", json={"code": code, "timeout": 9})
    assert changed.json()["timeout"] == 9


async def test_the_old_signature_opens_the_token_and_nothing_else(way: Way) -> None:
    assert problem_of(await way.token(AccessKey(access_key_id="LTAIadmin", secret="x", account_id=ACCOUNT)))[0] == 403
    assert problem_of(await way.token(READER))[:2] == (403, "AccessDenied")
    assert problem_of(await way.token(AccessKey(access_key_id="none", secret="x", account_id="1")))[0] == 403
    assert problem_of(await way.token(date="Thu, 01 Jan 1970 00:00:00 GMT"))[1] == "SignatureNotMatch"
    assert problem_of(await way.token(date="now"))[1] == "SignatureNotMatch"
    assert problem_of(await way.control.call("GET", TOKEN))[0] == 400  # ACS3 is not what this call is signed with
    text = f"GET\n\n\n{way.date()}\n/2023-03-30/functions"
    mark = base64.b64encode(hmac.digest(ADMIN.secret.encode(), text.encode(), "sha256")).decode()
    headers = {"date": way.date(), "authorization": f"FC {ADMIN.access_key_id}:{mark}"}
    assert (await way.control.client.get("/2023-03-30/functions", headers=headers)).status_code in (400, 403)


async def test_keys_are_for_one_object_for_an_hour(way: Way) -> None:
    grant, other = (await way.token()).json(), (await way.token()).json()
    codes = {
        "SignatureDoesNotMatch": await way.put(grant, b"x", secret="guessed"),
        "AccessDenied": await way.put(grant, b"x", path=f"/{ACCOUNT}/{other['objectName']}"),
        "EntityTooLarge": await way.put(grant, b"x" * 100_001),
    }
    for code, answer in codes.items():
        assert 400 <= answer.status_code < 500
        assert f"<Code>{code}</Code>" in answer.text
        assert answer.headers["content-type"] == "application/xml"
    stolen = await way.put(grant, b"x", x_oss_security_token="x")
    assert "<Code>AccessDenied</Code>" in stolen.text
    assert (await way.put(grant, b"x")).status_code == 200
    way.control.clock.jump(LIFE_S + 1)
    assert (await way.put(grant, b"x")).status_code == 403
    assert await way.uploads.sweep() == 1
    assert [key async for key in way.blob.list(PREFIX)] == []
    assert problem_of(await way.create(grant))[:2] == (400, "InvalidArgument")


async def test_an_upload_is_its_accounts_own(way: Way) -> None:
    grant = (await way.token(STRANGER)).json()
    path = f"/{STRANGER.account_id}/{grant['objectName']}"
    assert (await way.put(grant, ECHO_ZIP, path=path)).status_code == 200
    name = path[1:]
    assert problem_of(await way.create(grant, ossObjectName=name))[:2] == (400, "InvalidArgument")
    for changes in ({"ossBucketName": "my-bucket"}, {"ossObjectName": "../../secret"}, {"ossObjectName": "a/b"}):
        assert problem_of(await way.create(grant, **changes))[:2] == (400, "InvalidArgument")


async def test_what_waits_is_bounded_and_room_comes_back_with_time(way: Way) -> None:
    for number in range(WAITING_MAX):
        end = way.control.clock.now_ms() // 1000 + 100
        await way.blob.put(f"{PREFIX}1/{end:08x}-{number:032x}", b"x")
    grant = (await way.token()).json()
    assert (await way.put(grant, b"x")).status_code == 429
    way.control.clock.jump(101)
    assert (await way.put(grant, b"x")).status_code == 200
    with pytest.raises(errors.InvalidArgument):
        await way.uploads.take(ACCOUNT, grant["ossBucket"], f"{ACCOUNT}/{'0' * 8}-{'0' * 32}")


async def test_other_hosts_and_methods_do_not_reach_the_object_door(way: Way) -> None:
    grant = (await way.token()).json()
    assert (await way.put(grant, b"x", host="bucket.oss-local.aliyuncs.com")).headers[
        "content-type"
    ] == "application/json"
    got = await way.control.client.get(f"/{ACCOUNT}/x", headers={"host": HOST})
    assert (got.status_code, "<Code>MethodNotAllowed</Code>" in got.text) == (405, True)


async def test_who_asked_for_upload_keys_is_in_the_audit(way: Way) -> None:
    assert (await way.token()).status_code == 200
    assert problem_of(await way.token(READER))[:2] == (403, "AccessDenied")
    told = [(one.access_key_id, one.path, one.status, one.code) for one in way.control.audited]
    assert told == [
        (ADMIN.access_key_id, TOKEN, 200, ""),
        (READER.access_key_id, TOKEN, 403, "AccessDenied"),
    ]


async def test_a_function_with_a_role_that_deploys_may_upload_code(way: Way) -> None:
    body = {"name": "deployer", "scopes": ["deploy"]}
    await way.control.call("POST", "/functory/v1/roles", json=body)
    role = await way.control.store.roles.get(ACCOUNT, "deployer")
    made = way.control.sessions.make(role, "caller", 60)
    key = AccessKey(access_key_id=made.access_key_id, secret=made.access_key_secret, account_id=ACCOUNT)
    granted = await way.token(key, **{"x-fc-security-token": made.security_token})
    assert granted.json()["ossBucket"] == "functory-upload"
    assert problem_of(await way.token(key))[:2] == (403, "InvalidSecurityToken")
