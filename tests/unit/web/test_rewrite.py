"""Rewrite rules: what the function sees, and which rules are refused because they could hold the node."""

from __future__ import annotations

import time

import pytest

from functory.model import errors
from functory.model.domain import Rewrite, Rule
from functory.web.rewrite import REGEX_PATH, RewriteRules


def rules(kind: str, match: str, replacement: str) -> Rewrite:
    return Rewrite(**{kind: [Rule(match=match, replacement=replacement)]})


@pytest.mark.parametrize(
    ("config", "path", "seen"),
    [
        (rules("equal_rules", "/old", "/new"), "/old", "/new"),
        (rules("equal_rules", "/old", "/new"), "/old/x", "/old/x"),
        (rules("wildcard_rules", "/api/*", "/$1"), "/api/users/1", "/users/1"),
        (rules("wildcard_rules", "/a/*/c/*", "/$2/$1"), "/a/b/c/d", "/d/b"),
        (rules("wildcard_rules", "/a/*", "/$1$2"), "/a/b", "/b"),
        (rules("regex_rules", "^/v[0-9]+/", "/"), "/v2/users", "/users"),
        (rules("regex_rules", "/(u|w)/(.*)$", "/$2/$1"), "/u/x", "/x/u"),
        (rules("regex_rules", "^/v1/", "/"), "/v2/users", "/v2/users"),
    ],
)
def test_the_first_rule_that_matches_changes_the_path(config: Rewrite, path: str, seen: str) -> None:
    assert RewriteRules(config).apply(path) == seen


def test_equal_rules_come_before_wildcards_and_those_before_regular_expressions() -> None:
    every = Rewrite(
        equal_rules=[Rule(match="/a", replacement="/equal")],
        wildcard_rules=[Rule(match="/a*", replacement="/wild")],
        regex_rules=[Rule(match="/.", replacement="/regex")],
    )
    assert [RewriteRules(every).apply(path) for path in ("/a", "/ab", "/b")] == ["/equal", "/wild", "/regex"]


@pytest.mark.parametrize(
    "match", ["^(a+)+$", "(a*)*", "(.*,)*x", "(a|a)*b+(c+)*", "(a)\\1", "a*a*a*a*a*b", "(", "[", "a{20,}{20,}"]
)
def test_an_expression_that_could_take_too_long_is_refused(match: str) -> None:
    with pytest.raises(errors.InvalidArgument, match="regexRules"):
        RewriteRules(rules("regex_rules", match, "/"))


def test_the_slowest_expression_that_is_allowed_ends_soon() -> None:
    compiled = RewriteRules(rules("regex_rules", "a*a*a*$", "/"))
    started = time.process_time()
    compiled.apply("a" * (REGEX_PATH - 1) + "b")
    assert time.process_time() - started < 1
    with pytest.raises(errors.InvalidArgument, match="bytes"):
        compiled.apply("a" * (REGEX_PATH + 1))


@pytest.mark.parametrize(
    "config",
    [
        rules("equal_rules", "/a", "b"),
        rules("wildcard_rules", "a/*", "/b"),
        rules("wildcard_rules", "/*/*/*/*", "/b"),
        Rewrite(equal_rules=[Rule(match=f"/{n}", replacement="/") for n in range(21)]),
    ],
)
def test_rules_have_their_form(config: Rewrite) -> None:
    with pytest.raises(errors.InvalidArgument):
        RewriteRules(config)
