"""The program `seqlight`, which finds the commands and runs one of them.

A command is a function that an installed package names in the entry-point group
``seqlight.commands``. Its parameters, their types and its docstring make the options and the
help; ``--config FILE.yaml`` gives them from a file. ``seqlight study compare old new`` is the command
``study-compare``, with its first two parameters.
"""

from __future__ import annotations

import inspect
import itertools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points, version
from typing import Any

from seqlight.errors import SeqlightError

# Options that had another name are still known by it.
FORMER_NAMES = {"arguments": "init_args"}


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
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv == ["--version"]:
        print(f"seqlight {version('seqlight')}")
        return
    from jsonargparse import ArgumentError, auto_cli

    # A model, target or data set of the user's own may be in a file of the current folder.
    sys.path.append(os.getcwd())
    commands = {command.name: command.load() for command in entry_points(group="seqlight.commands")}
    argv = _spell_out(argv, commands)
    _refuse_device(argv, commands)
    try:
        auto_cli(
            commands,
            args=argv,
            prog="seqlight",
            as_positional=False,
            exit_on_error=False,
        )
    except ArgumentError as error:
        command = argv[0] if argv else ""
        # The parser calls an option of a command "command.option".
        reason = _one_line(error).replace(f"{command}.", "--") if command in commands else _one_line(error)
        print(f"seqlight: {reason}; `seqlight COMMAND --help` lists the options.", file=sys.stderr)
        sys.exit(2)
    except (SeqlightError, OSError) as error:
        sys.exit(f"seqlight: {_one_line(error)}")
    except KeyboardInterrupt:
        sys.exit(130)


def _spell_out(argv: list[str], commands: Mapping[str, Callable[..., Any]]) -> list[str]:
    """Return the arguments as the parser wants them.

    A command of two words is one, what stands behind it has its name, options have underscores as the parameters have,
    and switches their value.
    """
    if len(argv) > 1 and f"{argv[0]}-{argv[1]}" in commands:
        argv = [f"{argv[0]}-{argv[1]}", *argv[2:]]
    if not argv or argv[0] not in commands:
        return argv
    command, *rest = argv
    parameters = inspect.signature(commands[command]).parameters
    names, named = iter(parameters), list[str]()
    while rest and not rest[0].startswith("-"):
        name = next(names, None)
        if name is None:
            break
        named += [f"--{name}", rest.pop(0)]
    for here, after in itertools.pairwise([*rest, "--"]):
        option, equals, value = here.partition("=")
        name = option.removeprefix("--").replace("-", "_")
        name = FORMER_NAMES.get(name, name)
        if not option.startswith("--") or name not in parameters:
            named.append(here)
            continue
        named.append(f"--{name}{equals}{value}")
        # A switch needs no value.
        if not equals and after.startswith("--") and parameters[name].annotation in (bool, "bool"):
            named.append("true")
    return [command, *named]


def _refuse_device(argv: list[str], commands: Mapping[str, Callable[..., Any]]) -> None:
    """End the process where a run on several devices is given `--device`, which the parser reads as `--devices`."""
    if not argv or argv[0] not in commands:
        return
    parameters = inspect.signature(commands[argv[0]]).parameters
    asked = any(one.partition("=")[0] == "--device" for one in argv[1:])
    if asked and "devices" in parameters and "device" not in parameters:
        print("seqlight: there is no --device: use --accelerator gpu --devices 1.", file=sys.stderr)
        sys.exit(2)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
