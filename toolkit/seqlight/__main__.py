"""The program `seqlight`, as `python -m seqlight`."""

from seqlight.cli.main import main

if __name__ == "__main__":
    main()
