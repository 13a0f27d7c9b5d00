"""What may stand in a `requirements.txt`: names and versions. Pure.

Everything else that installers take there (options, paths, addresses, variables) would let an upload choose where the
node installs from, or read the node's own files: it is refused, not ignored.
"""

from __future__ import annotations

import hashlib
import re

from functory.model import errors

MAX_BYTES = 65_536
MAX_LINES = 1000

_VERSION = r"(?:===|~=|==|!=|<=|>=|<|>)\s*[A-Za-z0-9_.*+!-]+"
_LINE = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)"
    r"\s*(?P<extras>\[[A-Za-z0-9._,\s-]*\])?"
    rf"\s*(?P<versions>\(?{_VERSION}(?:\s*,\s*{_VERSION})*\s*,?\s*\)?)?"
    r"\s*(?P<marker>;[A-Za-z0-9_\s.,'\"<>=!~()+*-]+?)?"
    r"(?P<hashes>(?:\s+--hash=[a-z0-9]+:[0-9a-f]+)*)"
)
_FILE = re.compile(r".*\.(whl|zip|tar|gz|bz2|xz|tgz|txt|toml)", re.IGNORECASE)
_COMMENT = re.compile(r"(^|\s)#.*$")


def parse(text: str) -> tuple[str, ...]:
    """The requirements, one normal line each, sorted; `InvalidArgument` names the line that may not be there."""
    if len(text.encode(errors="replace")) > MAX_BYTES:
        raise errors.InvalidArgument(f"the requirements are longer than {MAX_BYTES} bytes")
    lines = text.removeprefix("\ufeff").replace("\\\r\n", " ").replace("\\\n", " ").splitlines()
    if len(lines) > MAX_LINES:
        raise errors.InvalidArgument(f"the requirements have {len(lines)} lines: {MAX_LINES} are allowed")
    found = {_line(number, bare) for number, line in enumerate(lines, 1) if (bare := _COMMENT.sub("", line).strip())}
    return tuple(sorted(found))


def _line(number: int, line: str) -> str:
    match = _LINE.fullmatch(line)
    if match is None or _FILE.fullmatch(match["name"]):
        raise errors.InvalidArgument(
            f"requirement {line[:100]!r} in line {number} is not allowed: only names and versions, like 'numpy>=2,<3'",
            hint="options, paths and addresses are not; the node's owner chooses the package index",
        )
    name = re.sub(r"[-_.]+", "-", match["name"]).lower()
    tight = "".join((match["extras"] or "").split()), "".join((match["versions"] or "").split())
    loose = " ".join((match["marker"] or "").split()), " ".join(sorted((match["hashes"] or "").split()))
    return " ".join(filter(None, [name + "".join(tight), *loose]))


def key(lines: tuple[str, ...], python_version: str, platform: str) -> str:
    """The hash of what a layer is built from."""
    return hashlib.sha256("\n".join([python_version, platform, *lines]).encode()).hexdigest()
