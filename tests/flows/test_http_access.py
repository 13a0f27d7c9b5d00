"""HTTP triggers over the whole data path: who may call, from which sites, and under which domain."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import jwt
import msgspec
import pytest

from functory.model.domain import AuthConfig, Domain, Rewrite, Route, RouteConfig, Rule
from functory.model.trigger import AuthKind, Cors
from functory.testing.edge import ACCOUNT, KEY, edge, make_function, read_answer
from functory.testing.instances import Asked
from trigger_kit import ask, event_of, events, request, returning, trigger

SECRET = b"s" * 32


# --- who calls --------------------------------------------------------------------------------------------------------


def signature(method: str, path: str) -> list[str]:
    """The headers of the official recipe."""
    date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = f"{method}\n{path}\n\nx-acs-date:{date}\n\nx-acs-date\n"
    to_sign = "ACS3-HMAC-SHA256\n" + hashlib.sha256(text.encode()).hexdigest()
    mark = hmac.new(KEY.secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    head = f"Authorization: ACS3-HMAC-SHA256 Credential={KEY.access_key_id},SignedHeaders=x-acs-date,Signature={mark}"
    return [head, f"x-acs-date: {date}"]


async def test_a_signed_url_wants_the_signature_of_this_path() -> None:
    async with edge(returning(b"x")) as node:
        node.targets.put_trigger(trigger(authType="function"))
        assert (await ask(node, "GET", "/fn/echo/a", *signature("GET", "/fn/echo/a"))).status == 200
        assert (await ask(node, "GET", "/fn/echo/b", *signature("GET", "/fn/echo/a"))).status == 403
        assert (await ask(node, "GET", "/fn/echo/a")).status == 400
        assert (await ask(node, "GET", "/fn/echo/a", f"Authorization: Bearer {node.token}")).status == 403


async def test_a_trigger_signature_opens_nothing_else() -> None:
    async with edge(returning(b"x")) as node:
        path = "/2023-03-30/functions/echo/invocations"
        answer = await ask(node, "POST", path, *signature("POST", path))
        assert answer.status in (400, 403)


def jwt_config(**more: Any) -> dict[str, Any]:
    key = {"kty": "oct", "k": base64.urlsafe_b64encode(SECRET).rstrip(b"=").decode()}
    return {"authType": "jwt", "authConfig": json.dumps({"jwks": {"keys": [key]}, **more})}


def token(**claims: Any) -> str:
    return jwt.encode(claims, SECRET, algorithm="HS256")


async def test_a_token_is_looked_for_in_its_places_and_its_claims_are_passed_on() -> None:
    config = jwt_config(
        tokenLookup="header:Authorization:Bearer,query:token,cookie:session",
        claimPassBy="header:sub:x-user,query:n:number",
    )
    async with edge(event_of) as node:
        node.targets.put_trigger(trigger(**config))
        good = token(sub="ada", n=7, exp=4_000_000_000)
        found = await events(
            node,
            request("GET", "/fn/echo/", f"Authorization: bearer {good}", "X-User: mallory"),
            request("GET", f"/fn/echo/?token={good}&number=9"),
            request("GET", "/fn/echo/", f"Cookie: a=b; session={good}"),
        )
        assert {event["headers"]["X-User"] for event in found} == {"ada"}
        assert {event["queryParameters"]["number"] for event in found} == {"7"}
        for refused in ([], [f"Authorization: Bearer {good}x"], [f"Authorization: {good}"]):
            assert (await ask(node, "GET", "/fn/echo/", *refused)).status == 403


async def test_a_token_that_ends_is_refused_on_the_same_connection() -> None:
    from functory.testing.clock import JumpingClock

    clock = JumpingClock()
    async with edge(returning(b"x"), clock=clock) as node:
        node.targets.put_trigger(trigger(**jwt_config()))
        reader, writer = await node.connect()
        sent = request("GET", "/fn/echo/", f"Authorization: Bearer {token(exp=clock.now_ms() // 1000 + 10)}")
        statuses = []
        for wait_s in (0, 9, 62):
            clock.jump(wait_s)
            writer.write(sent)
            statuses.append((await read_answer(reader)).status)
        assert statuses == [200, 200, 403]


async def test_what_a_client_says_in_the_name_of_the_platform_does_not_reach_the_function() -> None:
    async with edge(event_of) as node:
        node.targets.put_trigger(trigger())
        said = [f"{name}: forged" for name in ("x-fc-request-id", "X_FC_Access_Key_Id", "x-fc_security_token")]
        [event] = await events(node, request("GET", "/fn/echo/", *said, "x-fcx: mine"))
        assert event["headers"]["X-Fcx"] == "mine"
        assert "forged" not in event["headers"].values()


async def test_open_paths_need_no_token_and_pass_no_claims() -> None:
    config = jwt_config(whitelist=["/public/*"], claimPassBy="header:sub:x-user")
    async with edge(event_of) as node:
        node.targets.put_trigger(trigger(**config))
        [event] = await events(node, request("GET", "/fn/echo/public/a", "X-User: mallory", "X_User: mallory"))
        assert not {"X-User", "X_user", "X_User"} & set(event["headers"])
        for path in ("/fn/echo/private", "/fn/echo/public/../private", "/fn/echo/public/%2e%2e/private"):
            assert (await ask(node, "GET", path)).status == 403


# --- other origins ----------------------------------------------------------------------------------------------------


CORS = {
    "allowOrigins": ["https://app.example", "https://*.trusted.example"],
    "allowMethods": ["POST"],
    "allowHeaders": ["X-Token"],
    "exposeHeaders": ["X-Count"],
    "allowCredentials": True,
    "maxAge": 60,
}


async def test_a_preflight_is_answered_without_the_function() -> None:
    async with edge(returning(b"x")) as node:
        node.targets.put_trigger(trigger(methods=["POST"], corsConfig=CORS))
        asked = ("Origin: https://app.example", "Access-Control-Request-Method: POST", "Connection: close")
        answer = await ask(node, "OPTIONS", "/fn/echo/", *asked)
        assert answer.status == 204
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert answer.headers["access-control-allow-methods"] == "POST"
        assert answer.headers["access-control-allow-headers"] == "X-Token"
        assert answer.headers["access-control-max-age"] == "60"
        assert node.spawner.made == []
        assert (await ask(node, "OPTIONS", "/fn/echo/")).status == 405


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://app.example", True),
        ("https://a.trusted.example", True),
        ("https://trusted.example", False),
        ("https://evil.example", False),
        ("https://app.example.evil.example", False),
        ("null", False),
    ],
)
async def test_only_named_origins_may_read_answers(origin: str, allowed: bool) -> None:
    value = {"statusCode": 200, "headers": {"Access-Control-Allow-Origin": "*"}, "body": "x"}
    async with edge(returning(value)) as node:
        node.targets.put_trigger(trigger(corsConfig=CORS))
        answer = await ask(node, "POST", "/fn/echo/", f"Origin: {origin}", body=b"x")
        assert answer.headers.get("access-control-allow-origin") == (origin if allowed else None)
        assert ("access-control-allow-credentials" in answer.headers) is allowed
        assert answer.headers["vary"] == "Origin"


async def test_any_origin_never_gets_credentials() -> None:
    async with edge(returning(b"x")) as node:
        node.targets.put_trigger(trigger(corsConfig={"allowOrigins": ["*"], "allowCredentials": True}))
        answer = await ask(node, "GET", "/fn/echo/", "Origin: https://any.example")
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers


# --- custom domains ---------------------------------------------------------------------------------------------------


def site(*routes: Route, **changes: Any) -> Domain:
    plain = Domain(
        account_id=ACCOUNT,
        name="www.example.com",
        routes=RouteConfig(routes=list(routes)),
        created_at_ms=0,
        modified_at_ms=0,
    )
    return msgspec.structs.replace(plain, **changes)


async def test_the_longest_path_of_a_domain_wins() -> None:
    async def named(asked: Asked) -> bytes:
        return asked.instance.spec.handler.encode()

    functions = [make_function(name, handler=f"{name}.handler") for name in ("root", "api", "one")]
    async with edge(named, *functions) as node:
        node.targets.put_domain(
            site(
                Route(path="/*", function_name="root"),
                Route(path="/api/*", function_name="api", methods=["GET"]),
                Route(path="/api/one", function_name="one"),
            )
        )
        for path, name in (
            ("/", b"root"),
            ("/api", b"api"),
            ("/api/x/y", b"api"),
            ("/api/one", b"one"),
            ("/apix", b"root"),
        ):
            answer = await ask(node, "GET", path, host="WWW.Example.com:80")
            assert answer.body == name + b".handler", path
        assert (await ask(node, "POST", "/api/x", host="www.example.com")).status == 405
        assert (await ask(node, "GET", "/", host="other.example.com")).body == b'{"Code":"PathNotSupported"}'
        node.targets.put_domain(site(Route(path="/a", function_name="root"), epoch=2))
        assert (await ask(node, "GET", "/b", host="www.example.com")).status == 404
        node.targets.drop_domain("www.example.com")
        assert (await ask(node, "GET", "/a", host="www.example.com")).body == b'{"Code":"PathNotSupported"}'


async def test_the_nodes_own_paths_are_not_on_a_custom_domain() -> None:
    async with edge(event_of) as node:
        node.targets.put_domain(site(Route(path="/*", function_name="echo")))
        for path in ("/2023-03-30/functions/echo/invocations", "/fn/echo/", "/healthz"):
            [event] = await events(node, request("POST", path, host="www.example.com"))
            assert event["rawPath"] == path


async def test_a_route_rewrites_its_path_and_keeps_its_query() -> None:
    rewrite = Rewrite(wildcard_rules=[Rule(match="/api/*", replacement="/v2/$1")])
    async with edge(event_of) as node:
        node.targets.put_domain(site(Route(path="/api/*", function_name="echo", rewrite_config=rewrite)))
        [event] = await events(node, request("GET", "/api/users/a%20b?x=1", host="www.example.com"))
        assert event["rawPath"] == "/v2/users/a%20b"
        assert event["requestContext"]["http"]["path"] == "/v2/users/a b"
        assert event["queryParameters"] == {"x": "1"}


async def test_a_domain_has_its_own_rules_of_access() -> None:
    config = jwt_config()
    auth = AuthConfig(auth_type=AuthKind.JWT, auth_info=config["authConfig"])
    route = Route(path="/*", function_name="echo")
    async with edge(returning(b"x")) as node:
        node.targets.put_domain(site(route, auth=auth, cors=Cors(allow_origins=["https://app.example"])))
        headers = [f"Authorization: Bearer {token()}", "Origin: https://app.example"]
        answer = await ask(node, "GET", "/", *headers, host="www.example.com")
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, "https://app.example")
        assert (await ask(node, "GET", "/", host="www.example.com")).status == 403
        node.targets.put_domain(site(route, protocol="HTTPS", epoch=2))
        assert (await ask(node, "GET", "/", host="www.example.com")).status == 403
