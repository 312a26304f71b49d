"""The program `seqlight`, which finds the commands and runs one of them.

A command is a function that an installed package names in the entry-point group
``seqlight.commands``. Its parameters, their types and its docstring make the options and the
help; ``--config FILE.yaml`` gives them from a file. One with ``*words`` gets what is typed as it is.
``seqlight study compare old new`` is the command ``study-compare``, with its first two parameters.

The exit status is 0, 1 if something was refused, 2 for a command line that cannot be understood, 130 after SIGINT or
SIGTERM.
"""

from __future__ import annotations

import inspect
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points, version

from seqlight.cli.console import is_reported_by_first, leave_closed_pipe, plain_messages, process_number, say
from seqlight.cli.foreign_names import COMMANDS, names_here
from seqlight.cli.interruption import STATUS, Interruption, describe_interruption
from seqlight.cli.overview import overview, typed_name
from seqlight.cli.refusals import describe_error, describe_mismatch
from seqlight.cli.usage import UsageError, nearest
from seqlight.errors import ResultsError, SeqlightError

DEBUG = "--debug"


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command; whatever goes wrong ends the process with one line, and a traceback only with ``--debug``.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after the name of the program; those of the process if None.

    Raises
    ------
    SystemExit
        With the exit status, if it is not 0.
    """
    # Threads that spin while they wait take cores from other programs, and run ten times slower next to them.
    # OpenMP reads this once, when PyTorch is first imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # A model, target or data set of the user's own may be in a file of the current folder.
    sys.path.append(os.getcwd())
    words = list(sys.argv[1:] if argv is None else argv)
    status = _guard([one for one in words if one != DEBUG], debug=DEBUG in words)
    if status:
        sys.exit(status)


def _guard(words: list[str], debug: bool) -> int | str | None:
    """Run a command and return the exit status."""
    finished, parent = False, os.getppid()
    with plain_messages(), Interruption() as interruption:
        try:
            _run(words)
            finished = True
            sys.stdout.flush()
            return 0
        except BrokenPipeError:
            leave_closed_pipe()
            return 0 if finished else 1
        except UsageError as error:
            say(f"{error}.")
            return 2
        except BaseException as error:
            if debug and not isinstance(error, SystemExit):
                traceback.print_exc()
            if interruption.ended(error):
                if not process_number():
                    say(describe_interruption(words[0] if words else ""))
                return STATUS
            if isinstance(error, SystemExit):
                return error.code
            number = process_number()
            # All processes of a run raise these, with the same words.
            if not (number and type(error) in (SeqlightError, ResultsError)) and not is_reported_by_first(parent):
                say(f"{f'process {number}: ' if number else ''}{describe_error(error)}")
            return 1


def _run(words: list[str]) -> None:
    commands = {one.name: one for one in entry_points(group="seqlight.commands")}
    if words in (["--version"], ["-V"]):
        print(f"seqlight {version('seqlight')}")
        return
    if words[:1] == ["help"] and len(words) > 1:
        words = [*words[1:], "--help"]
    if not words or words[0] in ("help", "--help", "-h"):
        print(overview(commands.values()))
        return
    entry, rest = _find(words, commands)
    command, name = entry.load(), typed_name(entry.name)
    if any(one.kind is inspect.Parameter.VAR_POSITIONAL for one in inspect.signature(command).parameters.values()):
        command(*rest)
        return
    from jsonargparse import ArgumentError

    from seqlight.cli.command_parser import parse

    try:
        arguments = parse(name, rest, command)
    except (UsageError, ArgumentError) as error:
        reason = str(error) if isinstance(error, UsageError) else describe_mismatch(error)
        raise UsageError(f"{reason}; `seqlight {name} --help` lists the options") from error
    command(**arguments)


def _find(words: list[str], commands: Mapping[str, EntryPoint]) -> tuple[EntryPoint, list[str]]:
    """Return the command that is typed, in two words or one, and what stands behind it."""
    for n in (2, 1):
        name = "-".join(words[:n])
        if len(words) >= n and name in commands:
            return commands[name], words[n:]
    if words[0].startswith("-"):
        raise UsageError(f"the first word is {words[0]}, not a command; `seqlight --help` lists them")
    here = names_here(words[0].replace("-", "_"), commands, COMMANDS)
    near = nearest(words[0], map(typed_name, commands))
    hint = f"; here it is `seqlight {here[0]}`" if here else f"; the nearest is `seqlight {near}`" if near else ""
    raise UsageError(f"there is no command {words[0]!r}{hint}; `seqlight --help` lists them")
