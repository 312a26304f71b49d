"""The program `seqlight`, which finds the commands and runs one of them.

A command is a function that an installed package names in the entry-point group
``seqlight.commands``. Its parameters, their types and its docstring make the options and the
help; ``--config FILE.yaml`` gives them from a file.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points

from seqlight.errors import SeqlightError


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command; an error that the user can put right ends the process with one line, without a traceback.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after the name of the program; those of the process if None.
    """
    # Threads that spin while they wait take cores from other programs, and run ten times slower next to them.
    # OpenMP reads this once, when PyTorch is first imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from jsonargparse import ArgumentError, auto_cli

    # A model, target or data set of the user's own may be in a file of the current folder.
    sys.path.append(os.getcwd())
    commands = {command.name: command.load() for command in entry_points(group="seqlight.commands")}
    try:
        auto_cli(
            commands,
            args=None if argv is None else list(argv),
            prog="seqlight",
            as_positional=False,
            exit_on_error=False,
        )
    except ArgumentError as error:
        print(f"seqlight: {_one_line(error)}; `seqlight COMMAND --help` lists the options.", file=sys.stderr)
        sys.exit(2)
    except (SeqlightError, OSError) as error:
        sys.exit(f"seqlight: {_one_line(error)}")
    except KeyboardInterrupt:
        sys.exit(130)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
