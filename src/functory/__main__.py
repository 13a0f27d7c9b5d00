"""The command line, as `functory` and as `python -m functory`."""

import signal


def main() -> None:
    """Reads the modules, then runs what was asked. Ctrl-C while they are read ends the process without a word."""
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if usual:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from functory.cli import main as command_line

    if usual:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    command_line.main()


if __name__ == "__main__":
    main()
