"""Exit codes, and errors as people read them: one sentence, one hint, never a traceback."""

from __future__ import annotations

from enum import IntEnum

import click
from rich.text import Text

from functory.cli import screen
from functory.model.errors import FunctoryError
from functory.sdk.errors import ApiError, ConnectionFailed, SdkError


class Exit(IntEnum):
    """What a shell sees."""

    OK = 0
    FUNCTION_ERROR = 1  #: the function failed; or `doctor` found something broken
    USAGE = 2  #: the command, a file or a setting cannot be used as it is
    REFUSED = 3  #: the node answered, and refused
    UNREACHABLE = 4  #: no answer came
    INTERRUPTED = 130  #: Ctrl-C


class Failed(Exception):
    """The command has said what went wrong; only the exit code is left."""

    def __init__(self, code: Exit) -> None:
        super().__init__(code.name)
        self.code = code


HINTS = {
    "FunctionNotFound": "functory ls shows the functions that are there",
    "RequestNotFound": "functory requests shows the ones that are kept",
    "StatefulAsyncInvocationAlreadyExists": "functory task show NAME ID shows it; without --id a new id is made",
    "AliasNotFound": "functory alias ls NAME shows the aliases that are there",
    "VersionNotFound": "functory version ls NAME shows the versions that are there",
    "TriggerNotFound": "functory trigger ls NAME shows the triggers that are there",
    "DomainNameNotFound": "functory domain ls shows the domains that are there",
    "LayerVersionNotFound": "functory layer ls NAME shows the versions that are there",
    "ConcurrencyConfigNotFound": "none is set: functory concurrency set NAME PLACES",
    "AsyncConfigNotExists": "none is set, so the defaults hold: functory async set NAME",
    "VersionPublishError": "what is there is published already; deploy a change first",
    "StatefulAsyncInvocationNotFound": "functory task ls NAME shows the tasks that are kept",
    "InvalidAccessKeyID": "the keys belong to another node, or its data folder was removed; functory doctor tells more",
    "SignatureNotMatch": "the keys belong to another node, or its data folder was removed; functory doctor tells more",
    "AccessDenied": "use a key of a wider scope",
    "ResourceExhausted": "too much at once; the same call may succeed in a moment",
}


def code_of(failure: Exception) -> Exit:
    """The exit code for a failure."""
    if isinstance(failure, ApiError):
        return Exit.REFUSED
    if isinstance(failure, ConnectionFailed):
        return Exit.UNREACHABLE
    return Exit.USAGE


def show(failure: Exception) -> None:
    """Tell the user, on standard error."""
    if isinstance(failure, ApiError):
        _say(failure.message, HINTS.get(failure.code, ""), f"{failure.code}  {failure.request_id}".strip())
    elif isinstance(failure, SdkError | FunctoryError):
        _say(failure.message, failure.hint)
    elif isinstance(failure, click.UsageError):
        command = failure.ctx.command_path if failure.ctx else "functory"
        _say(failure.format_message(), f"{command} --help shows how it is used")
    elif isinstance(failure, click.ClickException):
        _say(failure.format_message(), "")
    elif isinstance(failure, OSError):
        _say(f"{failure.filename or 'the output cannot be written'}: {failure.strerror or failure}", "")
    else:
        _say(str(failure) or type(failure).__name__, "")


def _say(message: str, hint: str, detail: str = "") -> None:
    first, _, rest = message.partition(" ")
    # A sentence begins with a capital; the name of a field or setting (`memorySize`, `port = …`) stays as it is.
    plain = first.isalpha() and first.islower() and not rest.startswith("=")
    shown = message[:1].upper() + message[1:] if plain else message
    line = Text.assemble(("✗ ", "bold red"), shown)
    screen.err.print(line, soft_wrap=True)
    if hint:
        screen.err.print(Text(f"  {hint}"), soft_wrap=True)
    if detail:
        screen.err.print(Text(f"  {detail}", style="dim"), soft_wrap=True)
