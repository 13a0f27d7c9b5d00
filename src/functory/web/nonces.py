"""Used signature nonces, in bounded memory: a signed request is accepted once.

A nonce must be remembered for as long as its request's date would still be accepted: at most twice the allowed skew
after its first use. Nonces lie in one set per access key and second of the request's date, so that whole seconds are
forgotten at once and no set grows so large that making it larger stops the loop.

Forgetting is safe in every case: where a second is dropped, because it is too old or because the key sent more than
the limit, its date becomes the key's floor, and requests dated at or before the floor are refused. So a clock that
steps back does not reopen a forgotten second, and a flood of requests costs late clocks, never replay protection.
What is remembered is the 64-bit keyed hash of the nonce. What must outlive the process is `nonce_file`'s.
"""

from __future__ import annotations

from functory.web.nonce_file import NonceFile, digest_of

SKEW_MS = 15 * 60 * 1000
"""How far a request's date may be from the node's clock, either way."""

LIMIT = 500_000
"""How many nonces are remembered per access key (at most 65 MB): 20 s of requests at 25,000 a second."""


class _Seen:
    """The nonces of one access key."""

    __slots__ = ("count", "floor_s", "seconds", "tidied_s")

    def __init__(self) -> None:
        self.seconds: dict[int, set[int]] = {}
        self.count = 0
        self.floor_s = -1
        self.tidied_s = -1

    def forget(self, second: int) -> None:
        self.count -= len(self.seconds.pop(second))
        if second > self.floor_s:
            self.floor_s = second


class Nonces:
    """Remembers nonces per access key. Only nonces of validly signed requests may be given to it."""

    def __init__(self, *, skew_ms: int = SKEW_MS, limit: int = LIMIT, kept: NonceFile | None = None) -> None:
        """`kept`: what outlives the process; None = nothing."""
        self._kept = kept
        self._skew_ms = skew_ms
        self._limit = limit
        self._keys: dict[str, _Seen] = {}

    @property
    def skew_ms(self) -> int:
        """How far a request's date may be from now, in milliseconds."""
        return self._skew_ms

    @property
    def count(self) -> int:
        """How many are remembered."""
        return sum(seen.count for seen in self._keys.values())

    def use(self, access_key_id: str, nonce: bytes, date_ms: int, now_ms: int) -> bool:
        """Whether this nonce of a request dated `date_ms` is new; it is remembered then.

        False also where the date lies at or before a second whose nonces had to be forgotten, and for what the node
        before this one took.
        """
        kept, digest = self._kept, 0
        if kept is not None:
            digest = digest_of(access_key_id, nonce)
            if kept.knows(digest, date_ms // 1000):
                return False
        seen = self._keys.get(access_key_id)
        if seen is None:
            seen = self._keys[access_key_id] = _Seen()
        now_s = now_ms // 1000
        if seen.tidied_s != now_s:
            self._tidy(seen, now_s)
        second = date_ms // 1000
        if second <= seen.floor_s:
            return False
        nonces = seen.seconds.get(second)
        if nonces is None:
            nonces = seen.seconds[second] = set()
        before = len(nonces)
        nonces.add(hash(nonce))
        if len(nonces) == before:
            return False
        if kept is not None:
            kept.add(digest, second)
        seen.count += 1
        if seen.count > self._limit:
            self._shed(seen)
        return True

    def _tidy(self, seen: _Seen, now_s: int) -> None:
        """Forget the seconds whose requests are refused by their date alone. Once per second of the clock."""
        seen.tidied_s = now_s
        oldest_s = now_s - self._skew_ms // 1000 - 1
        for second in [second for second in seen.seconds if second < oldest_s]:
            seen.forget(second)

    def _shed(self, seen: _Seen) -> None:
        """Too many: forget the oldest second, and with it every request dated so early."""
        seen.forget(min(seen.seconds))
