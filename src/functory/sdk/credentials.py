"""Where the node is, and with which keys to call it.

The endpoint and the key pair are looked for apart, each taken from the first place that names it:

    flag  >  FUNCTORY_ENDPOINT, FUNCTORY_ACCESS_KEY_ID + FUNCTORY_ACCESS_KEY_SECRET
          >  .functory/credentials.json in this folder or one above it  >  ~/.config/functory/credentials.json

A key id and its secret always come from one place. A credentials file that belongs to another user is passed over:
in a shared folder it could send your code to somebody else's node.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from functory.sdk.errors import CredentialsNotFound

DEFAULT_ENDPOINT = "http://127.0.0.1:3862"
FILE_NAME = "credentials.json"
ENDPOINT, KEY_ID, KEY_SECRET = "FUNCTORY_ENDPOINT", "FUNCTORY_ACCESS_KEY_ID", "FUNCTORY_ACCESS_KEY_SECRET"
_HINT = f"start a node here with ./dev up, go to the folder of one, or set {ENDPOINT}, {KEY_ID} and {KEY_SECRET}"


class Credentials(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a client needs; the content of `credentials.json`, which a node writes into its data folder."""

    endpoint: str
    """`http://host:port`, without a path."""
    account_id: str = ""
    access_key_id: str
    access_key_secret: str
    source: str = ""
    """Where the keys were found, for people; not part of the file."""

    def __repr__(self) -> str:
        return f"Credentials({self.access_key_id} at {self.endpoint}, from {self.source or 'the caller'})"


def find(
    *,
    endpoint: str | None = None,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
    home: Path | None = None,
) -> Credentials:
    """The credentials in force. `CredentialsNotFound` says what is missing.

    `endpoint`: from a flag, wins over all. The rest is `os.environ`, the current folder and the user's home unless
    given.
    """
    environ = os.environ if environ is None else environ
    key_id, secret = environ.get(KEY_ID, ""), environ.get(KEY_SECRET, "")
    if bool(key_id) != bool(secret):
        missing = KEY_SECRET if key_id else KEY_ID
        raise CredentialsNotFound(f"{KEY_ID if key_id else KEY_SECRET} is set, but {missing} is not")
    found = _from_files(folder or Path.cwd(), home or Path.home())
    where = endpoint or environ.get(ENDPOINT, "") or (found.endpoint if found else DEFAULT_ENDPOINT)
    if key_id:
        return Credentials(
            endpoint=check_endpoint(where), access_key_id=key_id, access_key_secret=secret, source="the environment"
        )
    if found is None:
        raise CredentialsNotFound("no access key was found", hint=_HINT)
    return msgspec.structs.replace(found, endpoint=check_endpoint(where))


def read(path: Path) -> Credentials:
    """The content of one credentials file."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Credentials)
    except OSError as failure:
        raise CredentialsNotFound(f"{path} cannot be read: {failure.strerror}") from failure
    except msgspec.MsgspecError as failure:
        raise CredentialsNotFound(
            f"{path} is damaged: {failure}", hint="a node writes it anew when it starts"
        ) from None
    return msgspec.structs.replace(found, source=str(path))


def check_endpoint(endpoint: str) -> str:
    """`http://host:port` of what was written; `http` if it has no scheme."""
    whole = endpoint if "://" in endpoint else f"http://{endpoint}"
    try:
        parts = urlsplit(whole)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.path in ("", "/")
        good = good and not (parts.query or parts.fragment or parts.username) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise CredentialsNotFound(
            f"{endpoint[:80]!r} is not an endpoint", hint=f"it looks like {DEFAULT_ENDPOINT}, without a path"
        )
    return whole.rstrip("/")


def _from_files(folder: Path, home: Path) -> Credentials | None:
    path = next((path for path in _places(folder, home) if _is_ours(path)), None)
    return read(path) if path else None


def _places(folder: Path, home: Path) -> Iterator[Path]:
    for parent in (folder, *folder.parents):
        yield parent / ".functory" / FILE_NAME
    yield home / ".config" / "functory" / FILE_NAME


def _is_ours(path: Path) -> bool:
    try:
        return path.stat().st_uid in (os.geteuid(), 0) and path.is_file()
    except OSError:
        return False
