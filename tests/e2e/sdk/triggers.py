"""Triggers and custom domains by the official Python SDK. Runs in its own environment, as `official.py` does."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import official  # type: ignore[import-not-found]
from alibabacloud_fc20230330 import models  # type: ignore[import-not-found]

NAME = f"{official.PREFIX}bound"
SITE = "www.sdk-example.com"
WEB = (
    "import json\ndef handler(event, context):\n    return {'statusCode': 201, 'body': json.loads(event)['rawPath']}\n"
)


def trigger(name: str, kind: str, config: dict[str, Any]) -> Any:
    """A CreateTriggerRequest."""
    given = models.CreateTriggerInput(trigger_name=name, trigger_type=kind, trigger_config=json.dumps(config))
    return models.CreateTriggerRequest(body=given)


def triggers(client: Any) -> None:
    """Create, call, list, change, refuse, delete."""
    http = {"authType": "anonymous", "methods": ["GET"]}
    web = client.create_trigger(NAME, trigger("web", "http", http)).body
    with urllib.request.urlopen(f"{web.http_trigger.url_internet}a/b") as answer:
        assert (answer.status, answer.read()) == (201, b"/a/b")
    assert json.loads(client.get_trigger(NAME, "web").body.trigger_config) == http
    timer = {"cronExpression": "0 0 4 * * *", "enable": True, "payload": ""}
    client.create_trigger(NAME, trigger("clock", "timer", timer))
    listed = client.list_triggers(NAME, models.ListTriggersRequest(limit=10)).body.triggers
    assert [one.trigger_name for one in listed] == ["clock", "web"]
    change = models.UpdateTriggerInput(trigger_config=json.dumps({**timer, "enable": False}), description="off")
    assert client.update_trigger(NAME, "clock", models.UpdateTriggerRequest(body=change)).body.description == "off"
    official.refused("TriggerAlreadyExists", 409, client.create_trigger, NAME, trigger("web", "http", http))
    official.refused("InvalidArgument", 400, client.create_trigger, NAME, trigger("bucket", "oss", {}))
    for name in ("web", "clock"):
        assert client.delete_trigger(NAME, name).status_code == 204
    official.refused("TriggerNotFound", 404, client.get_trigger, NAME, "web")


def domains(client: Any) -> None:
    """Create, list, change, refuse, delete."""
    rewrite = models.RewriteConfig(wildcard_rules=[models.WildcardRule(match="/a/*", replacement="/$1")])
    path = models.PathConfig(path="/*", function_name=NAME, methods=["GET"], rewrite_config=rewrite)
    given = models.CreateCustomDomainInput(
        domain_name=SITE,
        protocol="HTTP",
        route_config=models.RouteConfig(routes=[path]),
        auth_config=models.AuthConfig(auth_type="anonymous"),
    )
    made = client.create_custom_domain(models.CreateCustomDomainRequest(body=given)).body
    assert made.route_config.routes[0].rewrite_config.wildcard_rules[0].replacement == "/$1"
    listed = client.list_custom_domains(models.ListCustomDomainsRequest(limit=10)).body.custom_domains
    assert [one.domain_name for one in listed] == [SITE]
    cors = models.CORSConfig(allow_origins=["*"], max_age=60)
    change = models.UpdateCustomDomainRequest(body=models.UpdateCustomDomainInput(cors_config=cors))
    assert client.update_custom_domain(SITE, change).body.cors_config.max_age == 60
    official.refused(
        "DomainNameAlreadyExists", 409, client.create_custom_domain, models.CreateCustomDomainRequest(body=given)
    )
    assert client.delete_custom_domain(SITE).status_code == 204
    official.refused("DomainNameNotFound", 404, client.get_custom_domain, SITE)


def main() -> None:
    """All of it, on a function of its own."""
    client = official.connect()
    official.create(client, NAME, WEB, timeout=10)
    try:
        triggers(client)
        domains(client)
    finally:
        client.delete_function(NAME)


if __name__ == "__main__":
    main()
