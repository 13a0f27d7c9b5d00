"""Rewrite rules of a custom domain's route: the path that the function sees.

Regular expressions are the user's, and Python's engine may take time without end over some. So those that can (a
repeat within a repeat, back references, more than three open repeats) are refused when the domain is stored, and they
are only tried on paths of up to `REGEX_PATH` characters.
"""

from __future__ import annotations

import re
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

from functory.model import errors
from functory.model.domain import Rewrite, Rule

REGEX_PATH = 256
MAX_RULES = 20
_OPEN_REPEATS = 3
_PLACE = re.compile(r"\$(\d)")
_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT, getattr(_constants, "POSSESSIVE_REPEAT", None))


class RewriteRules:
    """One configuration, compiled. `InvalidArgument` names the rule that is wrong."""

    def __init__(self, config: Rewrite) -> None:
        given = [*(config.equal_rules or []), *(config.wildcard_rules or []), *(config.regex_rules or [])]
        if len(given) > MAX_RULES:
            raise errors.InvalidArgument(f"rewriteConfig has {len(given)} rules; {MAX_RULES} are allowed")
        for rule in given:
            if not rule.replacement.startswith("/") or max(len(rule.match), len(rule.replacement)) > 1024:
                raise errors.InvalidArgument(
                    f"rewriteConfig {rule.match[:80]!r}: the replacement must start with '/', and each may have 1024 "
                    "characters"
                )
        self._equal = {rule.match: rule.replacement for rule in config.equal_rules or []}
        self._wildcard = [(_wildcard(rule), rule.replacement) for rule in config.wildcard_rules or []]
        self._regex = [(_regex(rule), rule.replacement) for rule in config.regex_rules or []]

    def apply(self, path: str) -> str:
        """The path after the first rule that matches, or as it is."""
        if path in self._equal:
            return self._equal[path]
        for pattern, replacement in self._wildcard:
            found = pattern.fullmatch(path)
            if found:
                return _filled(found, replacement)
        if self._regex and len(path) > REGEX_PATH:
            raise errors.InvalidArgument(f"a path for regexRules may have {REGEX_PATH} bytes")
        for pattern, replacement in self._regex:
            found = pattern.match(path)
            if found:
                return _filled(found, replacement) + path[found.end() :]
        return path


def _filled(found: re.Match[str], replacement: str) -> str:
    def group(place: re.Match[str]) -> str:
        number = int(place[1])
        return (found[number] or "") if number <= found.re.groups else ""

    return _PLACE.sub(group, replacement)


def _wildcard(rule: Rule) -> re.Pattern[str]:
    parts = rule.match.split("*")
    if not rule.match.startswith("/") or len(parts) > 4:
        raise errors.InvalidArgument(
            f"wildcardRules {rule.match[:80]!r} must start with '/' and have at most three '*'"
        )
    return re.compile("(.*?)".join(map(re.escape, parts)), re.S)


def _regex(rule: Rule) -> re.Pattern[str]:
    try:
        tree = _parser.parse(rule.match)
        pattern = re.compile(rule.match)
    except (re.error, RecursionError, OverflowError) as wrong:
        raise errors.InvalidArgument(f"regexRules {rule.match[:80]!r} is not a regular expression: {wrong}") from None
    if _open_repeats(tree, inside=False) > _OPEN_REPEATS:
        raise errors.InvalidArgument(
            f"regexRules {rule.match[:80]!r} could take too long: no repeat within a repeat, no back reference, and at "
            f"most {_OPEN_REPEATS} open repeats are allowed"
        )
    return pattern


def _open_repeats(tree: Any, *, inside: bool) -> int:
    """How many repeats without a small bound there are; beyond every limit where one stands within another."""
    count = 0
    for kind, argument in tree:
        if kind in _REPEATS:
            _, high, body = argument
            large = high > 16
            if inside and high > 1:
                return 1000
            count += int(large) + _open_repeats(body, inside=inside or high > 1)
        elif kind in (_constants.GROUPREF, _constants.GROUPREF_EXISTS):
            return 1000
        elif kind is _constants.BRANCH:
            count += sum(_open_repeats(branch, inside=inside) for branch in argument[1])
        elif isinstance(argument, tuple):
            count += sum(
                _open_repeats(part, inside=inside) for part in argument if isinstance(part, _parser.SubPattern)
            )
    return count
