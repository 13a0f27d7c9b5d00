"""`new`: the smallest function that does something."""

from __future__ import annotations

from pathlib import Path

import click
from rich.text import Text

from functory.cli import scaffolds, screen
from functory.cli.command import Command
from functory.model import errors, ids
from functory.sdk.errors import ProjectError
from functory.sdk.project import DEFAULT_RUNTIME

_TOML = """# What is not said here has a default. All keys: functory deploy --help
name = "{name}"
{settings}memory = 512    # MB
timeout = 60    # seconds

# [environment]
# KEY = "value"
"""


@click.command(cls=Command, examples=("functory new hello", "functory new shop/checkout --runtime nodejs20"))
@click.argument("name", type=click.Path(path_type=Path))
@click.option("--runtime", default=DEFAULT_RUNTIME, help=f"Language and version. Default: {DEFAULT_RUNTIME}.")
def new(name: Path, runtime: str) -> None:
    """Make a folder with a function that echoes: its source and functory.toml.

    Runtimes: python3 (3.9 to 3.12), nodejs12 to nodejs20, go1, custom.
    Nothing that is there already is overwritten.
    """
    try:
        ids.check_function_name(name.resolve().name)
    except errors.InvalidArgument as refusal:
        raise ProjectError(refusal.message, hint="choose another name for the folder") from None
    scaffold = scaffolds.find(runtime)
    if scaffold is None:
        known = ", ".join(one.runtimes for one in scaffolds.SCAFFOLDS)
        raise ProjectError(f"there is no example for runtime {runtime!r}", hint=f"there is one for {known}")
    said = scaffold.settings if runtime == DEFAULT_RUNTIME else f'runtime = "{runtime}"\n{scaffold.settings}'
    files = scaffold.files | {"functory.toml": _TOML.format(name=name.resolve().name, settings=said)}
    _write(name, files, scaffold.programs)
    _tell(name, files, scaffold.first)


def _tell(name: Path, files: dict[str, str], first: str) -> None:
    screen.err.print(Text.assemble(("✓ ", "green"), "made ", (f"{name}/", "bold"), f" with {', '.join(files)}"))
    screen.err.print()
    if first:
        screen.err.print(Text.assemble(f"  cd {name} && {first}", ("   build it", "dim")), soft_wrap=True)
    lines = {f"functory deploy {name}": "upload it", f"functory invoke {name.resolve().name} -e hi": "call it"}
    width = max(len(line) for line in lines)
    for line, what in lines.items():
        screen.err.print(Text.assemble(f"  {line:<{width}}   ", (what, "dim")), soft_wrap=True)


def _write(folder: Path, files: dict[str, str], programs: tuple[str, ...]) -> None:
    taken = next((file for file in files if (folder / file).exists()), None)
    if taken:
        raise ProjectError(f"{folder / taken} is there already", hint="choose another name, or remove it first")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            with (folder / file).open("x", encoding="utf-8") as out:
                out.write(text)
            if file in programs:
                (folder / file).chmod(0o755)
    except OSError as failure:
        raise ProjectError(f"{failure.filename or folder}: {failure.strerror}") from failure
