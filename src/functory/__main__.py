"""`python -m functory` is the command line."""

from functory.cli.main import main

if __name__ == "__main__":
    main()
