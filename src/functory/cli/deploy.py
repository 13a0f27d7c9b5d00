"""`deploy`: a folder or a file becomes a function, step by step, each with its time."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from functory.cli import screen, words
from functory.cli.command import Command, connected
from functory.sdk import Client, answers, package, project, serverless_yaml
from functory.sdk import deploy as deploying
from functory.sdk.project import Project

_EXAMPLES = (
    "functory deploy .",
    "functory deploy examples/thumbnail",
    "functory deploy examples/hook/s.yaml",
    "functory deploy report.py --memory 1024 --timeout 300",
    "functory deploy shop --name shop-test --env STAGE=test --env LOG=debug",
)


class Steps:
    """Says what was done and how long it took, as it happens."""

    def __init__(self) -> None:
        self.total_us = 0.0

    @contextmanager
    def step(self, doing: str) -> Iterator[_Step]:
        """One step: a spinner while it runs, a line when it is done."""
        step = _Step()
        started = time.perf_counter()
        with screen.waiting(doing):
            yield step
        took_us = (time.perf_counter() - started) * 1e6
        self.total_us += took_us
        line = Text.assemble(("  ✓ ", "green"), f"{step.what:<13}", f"{step.detail:<58} ")
        screen.err.print(line.append(f"{words.duration(took_us):>8}", style="dim"), soft_wrap=True)


class _Step:
    """What a step has to say when it is done."""

    what = ""
    detail = ""

    def done(self, what: str, detail: str) -> None:
        self.what, self.detail = what, detail


def _pairs(ctx: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, str] | None:
    for value in values:
        if not value.partition("=")[0] or "=" not in value:
            raise click.BadParameter(f"{value!r} is not KEY=VALUE")
    return dict(value.split("=", 1) for value in values) or None


@click.command(cls=Command, examples=_EXAMPLES)
@click.argument("source", metavar="DIR|FILE", type=click.Path(path_type=Path))
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
@connected
def deploy(client: Client, source: Path, **flags: Any) -> None:
    """Upload a folder, or a single source file, as a function.

    Settings come from the flags, then from functory.toml in the folder: name, runtime, handler,
    memory, cpu, timeout, concurrency, description, initializer, pre_stop, for custom runtimes
    command, args, port, a table [environment], and tables [[triggers]] of type http and timer.
    What is said nowhere keeps its value, or gets its default if the function is new.

    An s.yaml of Serverless Devs (component fc3) is read where it is named, or where there is no
    functory.toml; each of its resources is deployed.

    Packages named in requirements.txt are installed once and shared. Only what changed is sent.
    .functoryignore keeps files out of the code, one pattern a line.
    """
    described = serverless_yaml.find(source)
    if described is None:
        run(client, source, flags)
        return
    resources = serverless_yaml.load(described, os.environ)
    if len(resources) > 1 and any(flags.values()):
        raise click.UsageError(f"{described} has {len(resources)} functions: say in it what shall differ")
    for resource in resources:
        _deploy(client, resource.source, resource.project, flags)
        if resource.passed_over:
            screen.note(f"Not deployed, as this node does not act on it: {', '.join(resource.passed_over)}")


def run(client: Client, source: Path, flags: dict[str, Any], *, how_to_call: bool = True) -> deploying.Deployed:
    """Deploys and says so; also what `up --demo` does."""
    return _deploy(client, source, project.load(source), flags, how_to_call=how_to_call)


def _deploy(
    client: Client, source: Path, said: Project, flags: dict[str, Any], *, how_to_call: bool = True
) -> deploying.Deployed:
    current = deploying.find(client, flags.get("name") or said.name)
    wanted = project.merge(said, **_with_current_environment(current, said, flags))
    screen.err.print(
        Text.assemble("  ", (wanted.name, "bold"), ("  from ", "dim"), screen.near(source), "\n"), soft_wrap=True
    )
    steps = Steps()
    runtime = wanted.runtime or (current.runtime if current else project.DEFAULT_RUNTIME)
    with steps.step("packing") as step:
        packed = package.pack(source, keep=project.kept_folders(runtime))
        amount = f"{words.count(packed.files, 'file')}, {words.size(packed.source_bytes)}"
        step.done("packed", amount)
    layer = _dependencies(client, steps, source, runtime) if runtime.startswith("python") else ""
    with steps.step("deploying") as step:
        deployed = deploying.apply(client, source, wanted, packed, layer)
        step.done(*_told(deployed, packed))
    for trigger in wanted.triggers or []:
        with steps.step(f"trigger {trigger.name}") as step:
            done = deploying.apply_trigger(client, wanted.name, trigger)
            urls = done.trigger.http_trigger
            detail = (urls.url_internet or urls.url_intranet) if urls else str(done.trigger.config["cronExpression"])
            step.done("trigger", f"{trigger.name} {done.done}, {detail}")
    if how_to_call:
        name = deployed.function.function_name
        screen.err.print(Text.assemble(("\n  Call it  ", "dim"), f"functory invoke {name} -e hello"), soft_wrap=True)
        screen.err.print(Text.assemble(("  Watch it ", "dim"), f"functory logs {name} -f"), soft_wrap=True)
    return deployed


def _with_current_environment(current: answers.Function | None, said: Project, flags: dict[str, Any]) -> dict[str, Any]:
    """`--env` adds to the file's environment; where the file has none, to the function's."""
    if not flags.get("environment") or said.environment is not None:
        return flags
    there = (current.environment_variables or {}) if current else {}
    return {**flags, "environment": {**there, **flags["environment"]}}


def _dependencies(client: Client, steps: Steps, source: Path, runtime: str) -> str:
    """The ARN of the layer with the requirements, or an empty text if there are none."""
    requirements = project.requirements_of(source)
    if not requirements:
        return ""
    names = ", ".join(project.packages_in(requirements))
    shown = names if len(names) <= 32 else f"{names[:31]}…"
    with steps.step(f"installing {shown}") as step:
        built = client.build_layer(requirements, runtime)
        state = f"installed {words.size(built.size_bytes)}" if built.built else "there already"
        step.done("dependencies", f"{shown}, {state}")
    return built.arn


def _told(deployed: deploying.Deployed, packed: package.Package) -> tuple[str, str]:
    function, plan = deployed.function, deployed.plan
    if plan.nothing:
        return "unchanged", "nothing had to be sent"
    about = f"{function.runtime}, {function.memory_size} MB, {function.timeout} s"
    code = f"code {words.size(len(packed.data))}"
    if plan.create:
        return "created", f"{about}, {code}"
    changed = [code] if plan.send_code else []
    return "updated", ", ".join(changed + sorted(_KINDLY.get(field, field) for field in plan.fields))


_KINDLY = {
    "memorySize": "memory",
    "environmentVariables": "environment",
    "instanceConcurrency": "concurrency",
    "instanceLifecycleConfig": "hooks",
    "customRuntimeConfig": "command",
    "layers": "dependencies",
}
