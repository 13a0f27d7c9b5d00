"""`vpc`: what functions may reach that name it in their vpcConfig."""

from __future__ import annotations

import click
import msgspec
from rich.text import Text

from functory.cli import screen
from functory.cli.command import Command, Commands, connected, reading
from functory.sdk import Client
from functory.sdk.vpcs import Vpc


class _Vpcs(Commands):
    headings = (("Commands", ("create", "ls", "show", "rm")),)


_account = click.option("--account", metavar="ID", default="", help="Of another account; the node's first account may.")


@click.group(cls=_Vpcs, examples=("functory vpc ls", "functory vpc show vpc-db"))
def vpc() -> None:
    """Say what functions may reach: names, networks, ports.

    A function that names a VPC in its vpcConfig, with internetAccess off, reaches what the VPC lists and nothing else.
    """


@vpc.command(
    cls=Command,
    examples=(
        "functory vpc create vpc-db --name db.example.com --port 5432",
        "functory vpc create vpc-lan --cidr 10.1.0.0/16 --protocol tcp --protocol udp",
        "functory vpc create vpc-db --replace --name '*.example.com'",
    ),
)
@click.argument("vpc_id", metavar="ID")
@click.option("--name", "names", multiple=True, help="A host name, '*.example.com' for all below it, or '*'.")
@click.option("--cidr", "cidrs", multiple=True, help="A network, such as 10.1.0.0/16.")
@click.option("--port", "ports", multiple=True, help="A port or a range, such as 8000-8010. Default: all.")
@click.option("--protocol", "protocols", multiple=True, default=("tcp",), help="tcp or udp. Default: tcp.")
@click.option(
    "--host", "hosts", multiple=True, metavar="NAME=ADDRESS", help="Where a name is that no name server knows."
)
@click.option("--description", default="", help="What it is for.")
@_account
@click.option("--replace", is_flag=True, help="Put it in the place of the one of this id; instances change over.")
@reading
@connected
def create(
    client: Client,
    vpc_id: str,
    names: tuple[str, ...],
    cidrs: tuple[str, ...],
    ports: tuple[str, ...],
    protocols: tuple[str, ...],
    hosts: tuple[str, ...],
    description: str,
    account: str,
    replace: bool,
    as_json: bool,
) -> None:
    """Define a VPC. Admins of the node's first account only."""
    known: dict[str, str] = {}
    for host in hosts:
        name, found, address = host.partition("=")
        if not found:
            raise click.BadParameter(f"{host!r} is not NAME=ADDRESS", param_hint="--host")
        known[name] = address
    fields: dict[str, object] = {
        "names": names,
        "cidrs": cidrs,
        "ports": ports,
        "protocols": protocols,
        "hosts": known,
        "description": description,
    }
    _tell((client.vpcs.replace if replace else client.vpcs.create)(vpc_id, fields, account), as_json)


@vpc.command(cls=Command, examples=("functory vpc ls", "functory vpc ls --json"))
@_account
@reading
@connected
def ls(client: Client, account: str, as_json: bool) -> None:
    """List the VPCs of the account."""
    found = client.vpcs.list(account)
    if as_json:
        screen.json(msgspec.json.encode(found))
        return
    table = screen.table("VPC", "NAMES", "NETWORKS", "PORTS", "PROTOCOLS")
    for one in found:
        table.add_row(
            Text(one.vpc_id, style="bold"), _short(one.names), _short(one.cidrs), _ports(one), ", ".join(one.protocols)
        )
    screen.rows(table)


@vpc.command(cls=Command, examples=("functory vpc show vpc-db",))
@click.argument("vpc_id", metavar="ID")
@_account
@reading
@connected
def show(client: Client, vpc_id: str, account: str, as_json: bool) -> None:
    """Show a VPC and who names it."""
    _tell(client.vpcs.get(vpc_id, account), as_json)


@vpc.command(cls=Command, examples=("functory vpc rm vpc-db",))
@click.argument("vpc_id", metavar="ID")
@_account
@connected
def rm(client: Client, vpc_id: str, account: str) -> None:
    """Remove a VPC that no function names."""
    client.vpcs.delete(vpc_id, account)
    screen.err.print(Text.assemble(("✓ ", "green"), "removed ", (vpc_id, "bold")))


def _tell(one: Vpc, as_json: bool) -> None:
    if as_json:
        screen.json(one.to_json())
        return
    facts = screen.facts()
    facts.add_row("vpc", Text(one.vpc_id, style="bold"))
    if one.description:
        facts.add_row("for", one.description)
    facts.add_row("names", "\n".join(one.names) or "none")
    facts.add_row("networks", "\n".join(one.cidrs) or "none")
    facts.add_row("ports", _ports(one))
    facts.add_row("protocols", ", ".join(one.protocols))
    if one.hosts:
        facts.add_row("hosts", "\n".join(f"{name} = {address}" for name, address in one.hosts.items()))
    if one.functions:
        facts.add_row("functions", ", ".join(one.functions))
    screen.out.print(facts)


def _short(values: list[str]) -> str:
    more = f" and {len(values) - 3} more" if len(values) > 3 else ""
    return ", ".join(values[:3]) + more or "–"


def _ports(one: Vpc) -> str:
    return ", ".join(one.ports) or "all"
