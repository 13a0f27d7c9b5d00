"""Code on its way: the place where deploy tools put a zip before they name it in CreateFunction.

    GET tempBucketToken → keys for one object → PUT the object → CreateFunction names bucket and object

The keys hold no state here: the key id says account, object and end, secret and token are made from it with a secret
of the node. An object waits in the blob store until its keys end; then it is removed. How large one may be and how many
wait are bounded.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from typing import Any

from functory.blob.base import Blob
from functory.clock import Clock
from functory.model import errors
from functory.web import oss_v1

BUCKET = "functory-upload"
LIFE_S = 3600
"""How long the keys and the object live."""
WAITING_MAX = 200
"""Objects that wait at once, of all accounts."""
PREFIX = "uploads/"
_STORE = "aliyuncs.com"
_KEY_ID = re.compile(r"STS\.([0-9a-zA-Z]{1,64})\.(([0-9a-f]{8,10})-[0-9a-f]{32})")


def is_own_host(host: str) -> bool:
    """Whether objects are put under this host name, as the object store's clients form it."""
    return host.endswith(f".{_STORE}") or host == _STORE


class Uploads:
    """Gives keys, takes objects, hands them out."""

    def __init__(
        self,
        blob: Blob,
        *,
        secret: bytes,
        clock: Clock,
        random: Callable[[int], bytes],
        region: str,
        object_max_bytes: int,
    ) -> None:
        self._blob = blob
        self._secret = secret
        self._clock = clock
        self._random = random
        self._region = region
        self.object_max_bytes = object_max_bytes

    def grant(self, account_id: str) -> dict[str, Any]:
        """Keys for one new object: what `tempBucketToken` answers."""
        name = f"{self._now_s() + LIFE_S:08x}-{self._random(16).hex()}"
        key_id = f"STS.{account_id}.{name}"
        return {
            "credentials": {
                "AccessKeyId": key_id,
                "AccessKeySecret": self._made("secret", key_id),
                "SecurityToken": self._made("token", key_id),
            },
            "ossRegion": f"oss-{self._region}",
            "ossBucket": BUCKET,
            "objectName": name,
        }

    def check(self, request: oss_v1.ObjectRequest) -> str:
        """Where the object of this signed request belongs; `Denied` if these keys are not for it, or have ended."""
        key_id = oss_v1.access_key_of(request)
        known = _KEY_ID.fullmatch(key_id)
        if known is None:
            raise errors.InvalidAccessKey("only keys of tempBucketToken can put objects here")
        oss_v1.check(request, self._made("secret", key_id), self._clock.now_ms())
        token = request.headers.get("x-oss-security-token", "")
        if not hmac.compare_digest(token.encode("latin-1", "replace"), self._made("token", key_id).encode()):
            raise errors.AccessDenied("x-oss-security-token does not belong to these keys")
        if int(known[3], 16) <= self._now_s():
            raise errors.AccessDenied("these keys have ended; ask for new ones")
        if request.raw_path.decode("latin-1") != f"/{known[1]}/{known[2]}":
            raise errors.AccessDenied("these keys are for another object")
        return f"{PREFIX}{known[1].lower()}/{known[2]}"

    async def put(self, key: str, data: bytes) -> None:
        """Keeps the object; `Throttled` while too many wait."""
        waiting = [one async for one in self._blob.list(PREFIX)]
        live = [one for one in waiting if not await self._drop_if_ended(one)]
        if len(live) >= WAITING_MAX and key not in live:
            raise errors.Throttled(f"{len(live)} uploads wait already, the most this node keeps", retry_after_ms=60_000)
        await self._blob.put(key, data)

    async def take(self, account_id: str, bucket: str, name: str) -> bytes:
        """The object's bytes. It stays until its end: a client that lost the answer asks again."""
        known = _KEY_ID.fullmatch(f"STS.{name.replace('/', '.', 1)}")
        if bucket != BUCKET or known is None:
            raise errors.InvalidArgument(
                f"code.ossBucketName {bucket[:64]!r} with this object is not on this node",
                hint="send the zip in code.zipFile, or upload it to what tempBucketToken names",
            )
        if known[1] != account_id:
            raise errors.InvalidArgument("code.ossObjectName is another account's")
        try:
            return await self._blob.get(f"{PREFIX}{known[1].lower()}/{known[2]}")
        except KeyError:
            raise errors.InvalidArgument(
                "code.ossObjectName was not uploaded, or is gone: uploads are kept for an hour"
            ) from None

    async def sweep(self) -> int:
        """Removes what has ended; how many."""
        return sum([await self._drop_if_ended(key) async for key in self._blob.list(PREFIX)])

    async def _drop_if_ended(self, key: str) -> bool:
        end = key.rpartition("/")[2].partition("-")[0]
        if end and int(end, 16) > self._now_s():
            return False
        await self._blob.delete(key)
        return True

    def _made(self, what: str, key_id: str) -> str:
        return hmac.digest(self._secret, f"functory:upload:{what}\n{key_id}".encode(), "sha256").hex()

    def _now_s(self) -> int:
        return self._clock.now_ms() // 1000
