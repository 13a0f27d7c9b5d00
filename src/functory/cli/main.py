"""The command `functory`: finds the command, runs it, and turns every expected failure into a sentence and a code."""

from __future__ import annotations

import os
import sys

import click

from functory import __version__
from functory.cli import failures, letters
from functory.cli.failures import Exit
from functory.cli.menu import Menu
from functory.model.errors import FunctoryError
from functory.sdk.errors import SdkError


@click.group(cls=Menu, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--endpoint", metavar="URL", help="Address of the node, such as http://127.0.0.1:3862.")
@click.version_option(__version__, message="functory %(version)s")
def functory(endpoint: str | None) -> None:
    """Functory runs your functions, and shows what each call took and cost.

    \b
    Start here:
      functory up                    start a node
      functory new hello             make a function
      functory deploy hello          upload it
      functory invoke hello -e hi    call it

    Endpoint and keys come from --endpoint and FUNCTORY_ENDPOINT, FUNCTORY_ACCESS_KEY_ID and
    FUNCTORY_ACCESS_KEY_SECRET, else from .functory/credentials.json in this folder or one above,
    else from ~/.config/functory/credentials.json.

    \b
    Exit codes: 0 fine · 1 the function failed · 2 wrong usage · 3 the node refused
                4 the node cannot be reached · 130 interrupted
    """


def run(arguments: list[str]) -> int:
    """The exit code of one command line."""
    try:
        # Not `functory.main`: it ends the process by itself when a pipe breaks, with the code of a failed function.
        with functory.make_context("functory", arguments) as context:
            code = functory.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as asked:
        return asked.exit_code
    except (KeyboardInterrupt, click.Abort):
        return Exit.INTERRUPTED
    except failures.Failed as failure:
        return failure.code
    except click.exceptions.NoArgsIsHelpError as failure:
        click.echo(failure.format_message(), err=True)
        return Exit.USAGE
    except (click.ClickException, SdkError, FunctoryError) as failure:
        failures.show(failure)
        return failures.code_of(failure)
    except BrokenPipeError:
        _give_up_output()  # the reader has seen enough: `functory ls | head`
        return Exit.OK
    except OSError as failure:
        failures.show(failure)
        _give_up_output()
        return Exit.USAGE
    return code if isinstance(code, int) else Exit.OK


def _give_up_output() -> None:
    """What is left in the buffer goes nowhere, so that the interpreter does not complain at its own end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main() -> None:
    """The entry point."""
    # httpx brings a command of its own, and with it a highlighter of sources, where click and rich are there; it does
    # without when this module cannot be had. That is a tenth of what a short command takes.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
    letters.fit_streams()
    sys.exit(run(sys.argv[1:]))
