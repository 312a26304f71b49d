"""Find the commands, and run the one that is asked for.

A command is a function that an installed package names in the entry-point group
``seqlight.commands``. Its parameters, their types and its docstring make the options and the
help; ``--config FILE.yaml`` gives them from a file.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import entry_points

from seqlight.errors import SeqlightError


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after the program's name; those of the process if None.
    """
    from jsonargparse import auto_cli

    commands = {command.name: command.load() for command in entry_points(group="seqlight.commands")}
    try:
        auto_cli(commands, args=argv, prog="seqlight", as_positional=False)
    except SeqlightError as error:
        # What a user can put right needs no traceback.
        sys.exit(f"seqlight: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
