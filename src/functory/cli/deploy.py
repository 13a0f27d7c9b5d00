"""`deploy` and `remove`: a deploy file, a folder or a source file becomes functions and all that belongs to them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.text import Text

from functory.cli import screen, words
from functory.cli.command import Command, connected
from functory.cli.steps import Plan, Steps
from functory.model.template import SNAPSHOT_MODES, SNAPSHOT_VARIABLE
from functory.sdk import Client, package, project, removal, sites, stack, surroundings
from functory.sdk import deploy as deploying
from functory.sdk.errors import ProjectError
from functory.sdk.functions import Function
from functory.sdk.project import Project
from functory.sdk.steps import Action, Step
from functory.sdk.units import Stack, Unit

_EXAMPLES = (
    "functory deploy .",
    "functory deploy examples/thumbnail",
    "functory deploy shop/functory.yaml --plan",
    "functory deploy examples/hook/s.yaml",
    "functory deploy report.py --memory 1024 --timeout 300",
    "functory deploy shop --name shop-test --env STAGE=test --env LOG=debug",
)


def _pairs(ctx: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, str] | None:
    for value in values:
        if not value.partition("=")[0] or "=" not in value:
            raise click.BadParameter(f"{value!r} is not KEY=VALUE")
    return dict(value.split("=", 1) for value in values) or None


@click.command(cls=Command, examples=_EXAMPLES)
@click.argument("source", metavar="DIR|FILE", type=click.Path(path_type=Path), required=False)
@click.option("--plan", "planned", is_flag=True, help="Only show what would change.")
@click.option("--json", "as_json", is_flag=True, help="With --plan: as JSON.")
@click.option("--prune", is_flag=True, help="Delete triggers, aliases and configurations that the file does not name.")
@click.option("--name", help="Name of the function. Default: the folder's or file's name.")
@click.option("--runtime", help=f"Language and version. Default: {project.DEFAULT_RUNTIME}.")
@click.option("--handler", help="FILE.FUNCTION. Default: index.handler, or the only file's handler.")
@click.option("--memory", type=int, metavar="MB", help=f"Default: {project.DEFAULTS['memorySize']}.")
@click.option("--cpu", type=float, metavar="VCPU", help=f"Default: {project.DEFAULT_CPU}, or what suits the memory.")
@click.option(
    "--timeout", type=int, metavar="SECONDS", help=f"Default: {project.DEFAULT_TIMEOUT_S} (the bare API's is 3)."
)
@click.option("--env", "environment", metavar="K=V", multiple=True, callback=_pairs, help="May be repeated.")
@click.option("--concurrency", type=int, metavar="N", help="Calls that one instance may run at once. Default: 1.")
@click.option(
    "--snapshot",
    type=click.Choice(SNAPSHOT_MODES),
    help="Load once and copy: when it pays (auto), always (on), never (off). Sets FUNCTORY_SNAPSHOT.",
)
@connected
def deploy(client: Client, source: Path | None, planned: bool, as_json: bool, prune: bool, **flags: Any) -> None:
    """Upload a folder, a single source file, or all that a deploy file names.

    A functory.yaml holds functions with triggers, versions, aliases, configurations, layers and
    custom domains: docs/deploy.md lists every field. An s.yaml of Serverless Devs (components fc3
    and fc3-domain) is read where it is named, or where there is no other.

    Without them a folder is one function; its settings come from the flags, then from
    functory.toml: name, runtime, handler, memory, cpu, disk, timeout, concurrency, internet, layers, role,
    description, initializer, pre_stop, for custom runtimes command, args, port, tables [environment]
    and [official], and tables [[triggers]] of type http and timer. What is said nowhere keeps its
    value, or gets its default if the function is new.

    Packages named in requirements.txt are installed once and shared. Only what changed is sent.
    .functoryignore keeps files out of the code, one pattern a line.
    """
    if as_json and not planned:
        raise click.UsageError("--json shows a plan: add --plan")
    if snapshot := flags.pop("snapshot", None):
        flags["environment"] = {**(flags["environment"] or {}), SNAPSHOT_VARIABLE: snapshot}
    source = source or stack.here()
    wanted = stack.load(source, os.environ, client.credentials)
    if len(wanted.units) != 1 and any(flags.values()):
        raise click.UsageError(f"{source} has {len(wanted.units)} functions: say in it what shall differ")
    if planned:
        _plan(client, wanted, flags, as_json=as_json, prune=prune)
    else:
        _deploy(client, wanted, flags, prune=prune)


@click.command(
    cls=Command, examples=("functory remove", "functory remove shop/functory.yaml --plan", "functory remove -y")
)
@click.argument("source", metavar="DIR|FILE", type=click.Path(path_type=Path), required=False)
@click.option("--plan", "planned", is_flag=True, help="Only show what would be deleted.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@connected
def remove(client: Client, source: Path | None, planned: bool, yes: bool) -> None:
    """Remove what a deploy file or a folder names: domains, functions, layers.

    Triggers and provisioned instances of the functions go with them.
    """
    source = source or stack.here()
    wanted = stack.load(source, os.environ, client.credentials)
    named = words.listed([unit.project.name for unit in wanted.units] + [domain.name for domain in wanted.domains])
    if planned:
        plan = Plan(as_json=False)
        plan.show(removal.stack(client, wanted))
        plan.end()
        return
    screen.confirm(f"Remove {named}?", yes)
    Steps().take(removal.stack(client, wanted))


def run(client: Client, source: Path, flags: dict[str, Any], *, how_to_call: bool = True) -> deploying.Deployed:
    """Deploys one folder and says so; also what `up --demo` does."""
    unit = Unit(project=project.load(source), source=source)
    return _deploy_unit(client, unit, flags, Steps(), how_to_call=how_to_call)


def _deploy(client: Client, wanted: Stack, flags: dict[str, Any], *, prune: bool) -> None:
    steps = Steps()
    steps.take(sites.layer(client, layer) for layer in wanted.layers)
    for unit in wanted.units:
        _deploy_unit(client, unit, flags, steps, prune=prune)
    steps.take(sites.domain(client, domain) for domain in wanted.domains)
    for note in wanted.notes:
        screen.note(f"  Not deployed: {note}")


def _deploy_unit(
    client: Client, unit: Unit, flags: dict[str, Any], steps: Steps, *, how_to_call: bool = True, prune: bool = False
) -> deploying.Deployed:
    unit = _merged(client, unit, flags)
    wanted = unit.project
    where = screen.near(unit.source) if unit.source else "an image"
    screen.err.print(Text.assemble("  ", (wanted.name, "bold"), ("  from ", "dim"), where, "\n"), soft_wrap=True)
    current = deploying.find(client, wanted.name)
    runtime = wanted.runtime or (current.runtime if current else project.DEFAULT_RUNTIME)
    _check_requirements(unit, runtime)
    packed = None
    if unit.source is not None:
        with steps.step("packing") as step:
            packed = package.pack(unit.source, keep=project.kept_folders(runtime))
            step.done("packed", f"{words.count(packed.files, 'file')}, {words.size(packed.source_bytes)}")
    layer = _dependencies(client, steps, unit, runtime) if runtime.startswith("python") else ""
    with steps.step("deploying") as step:
        deployed = deploying.apply(client, unit.source, wanted, packed, layer)
        step.done(*_told(deployed, packed))
    steps.take(surroundings.around(client, unit, prune=prune))
    for note in unit.notes:
        screen.note(f"  Not deployed: {note}")
    if how_to_call:
        name = deployed.function.function_name
        screen.err.print(Text.assemble(("\n  Call it  ", "dim"), f"functory invoke {name} -e hello"), soft_wrap=True)
        screen.err.print(Text.assemble(("  Watch it ", "dim"), f"functory logs {name} -f\n"), soft_wrap=True)
    return deployed


def _plan(client: Client, wanted: Stack, flags: dict[str, Any], *, as_json: bool, prune: bool) -> None:
    """The same steps, looked at and not taken."""
    plan = Plan(as_json=as_json)
    plan.show(sites.layer(client, layer) for layer in wanted.layers)
    for given in wanted.units:
        unit = _merged(client, given, flags)
        function = _planned(client, unit)
        plan.show([function], of=unit.project.name)
        pending = function.action is not Action.KEEP
        plan.show(surroundings.around(client, unit, pending=pending, prune=prune), of=unit.project.name)
    plan.show(sites.domain(client, domain) for domain in wanted.domains)
    for note in (*(note for unit in wanted.units for note in unit.notes), *wanted.notes):
        screen.note(f"  Not deployed: {note}")
    plan.end()


def _planned(client: Client, unit: Unit) -> Step:
    """The function's own step. Dependencies count as what they are: they are installed when it is deployed."""
    current = deploying.find(client, unit.project.name)
    runtime = unit.project.runtime or (current.runtime if current else project.DEFAULT_RUNTIME)
    _check_requirements(unit, runtime)
    packed = package.pack(unit.source, keep=project.kept_folders(runtime)) if unit.source else None
    built = [layer.arn for layer in (current.layers if current else None) or [] if deploying.is_dependencies(layer.arn)]
    layer = built[0] if built and _requirements(unit) else ""
    _, steps, differences = deploying.look(client, unit.source, unit.project, packed, layer)
    action = Action.CREATE if steps.create else Action.KEEP if steps.nothing else Action.UPDATE
    return Step(noun="function", name=unit.project.name, action=action, differences=differences, act=lambda: "")


def _merged(client: Client, unit: Unit, flags: dict[str, Any]) -> Unit:
    """The unit with flags over it, and its layers as ARNs."""
    current = deploying.find(client, flags.get("name") or unit.project.name)
    merged = project.merge(unit.project, **_with_current_environment(current, unit.project, flags))
    if merged.layers:
        merged = msgspec.structs.replace(merged, layers=sites.arns(client, merged.layers))
    return msgspec.structs.replace(unit, project=merged)


def _with_current_environment(current: Function | None, said: Project, flags: dict[str, Any]) -> dict[str, Any]:
    """`--env` adds to the file's environment; where the file has none, to the function's."""
    if not flags.get("environment") or said.environment is not None:
        return flags
    there = (current.environment_variables or {}) if current else {}
    return {**flags, "environment": {**there, **flags["environment"]}}


def _requirements(unit: Unit) -> str:
    if unit.requirements is not None:
        return project.requirements_in(unit.requirements)
    return project.requirements_of(unit.source) if unit.source else ""


def _check_requirements(unit: Unit, runtime: str) -> None:
    if unit.requirements is not None and not runtime.startswith("python"):
        raise ProjectError(
            f"{unit.project.name} has requirements, but its runtime is {runtime}",
            hint="only Python's are installed by the node; the code of others brings its packages along",
        )


def _dependencies(client: Client, steps: Steps, unit: Unit, runtime: str) -> str:
    """The ARN of the layer with the requirements, or an empty text if there are none."""
    requirements = _requirements(unit)
    if not requirements:
        return ""
    names = ", ".join(project.packages_in(requirements))
    shown = names if len(names) <= 32 else f"{names[:31]}…"
    with steps.step(f"installing {shown}") as step:
        built = client.build_layer(requirements, runtime)
        state = f"installed {words.size(built.size_bytes)}" if built.built else "there already"
        step.done("dependencies", f"{shown}, {state}")
    return built.arn


def _told(deployed: deploying.Deployed, packed: package.Package | None) -> tuple[str, str]:
    function, plan = deployed.function, deployed.plan
    if plan.nothing:
        return "unchanged", "nothing had to be sent"
    code = f"code {words.size(len(packed.data))}" if packed else "an image"
    if plan.create:
        return "created", f"{function.runtime}, {function.memory_size} MB, {function.timeout} s, {code}"
    changed = [code] if plan.send_code else []
    return "updated", ", ".join(changed + sorted(_KINDLY.get(field, field) for field in plan.fields))


_KINDLY = {
    "memorySize": "memory",
    "diskSize": "disk",
    "environmentVariables": "environment",
    "instanceConcurrency": "concurrency",
    "instanceLifecycleConfig": "hooks",
    "internetAccess": "internet",
    "customRuntimeConfig": "command",
    "layers": "dependencies",
}
