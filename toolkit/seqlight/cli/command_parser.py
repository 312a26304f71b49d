"""The parser of a command: its options, their groups, and its help, all from the signature of the function."""

from __future__ import annotations

import argparse
import functools
import inspect
import re
import textwrap
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, DefaultHelpFormatter

from seqlight.cli.mapping_parts import as_json, set_parts, value_before, without_typed
from seqlight.cli.option_groups import grouped, has_group
from seqlight.cli.parameter_types import type_hints
from seqlight.cli.typed_options import CONFIG, HELP, PRINT_CONFIG, as_value, other_names, read_options

# Where the description of a command ends and that of its parameters begins, in either style of docstrings.
PARAMETERS = re.compile(r"^(Args:|Arguments:|Parameters$)", re.MULTILINE)

# Options of all commands, which the parser adds by itself or the program takes.
ALSO = """\
also:
  --config FILE.yaml    Take options from a file; what is typed goes before it.
  --print_config        Print all options as such a file.
  --debug               Show the traceback of an error.
  -h, --help            Print this."""
OF_ALL = (CONFIG, PRINT_CONFIG, HELP)


class CommandHelp(argparse.RawDescriptionHelpFormatter, DefaultHelpFormatter):
    """The help of a command: an option, what it is, and its default, without the types of Python."""

    def _get_help_string(self, action: argparse.Action) -> str:
        said = action.help or ""
        hidden = any(action.default is one for one in (None, argparse.SUPPRESS, True, False))
        return said if hidden or not action.option_strings else f"{said} (default: %(default)s)"

    def _format_action_invocation(self, action: argparse.Action) -> str:
        names = ", ".join(one for one in action.option_strings if not one.endswith("+"))
        if _is_bool(action):
            return names
        return f"{names} {action.metavar or action.dest.upper()}"

    def add_argument(self, action: argparse.Action) -> None:
        """Add an option to the help, unless it is one of all commands."""
        if action.dest not in OF_ALL:
            super().add_argument(action)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = [_fill(one, width) for one in re.split(r"\n[ ]*\n", text)]
        return "\n\n".join(paragraphs)


def _is_bool(action: argparse.Action) -> bool:
    return getattr(action, "_typehint", None) is bool


def _fill(paragraph: str, width: int) -> str:
    """Return a paragraph in lines of a width; one with indented lines, such as an example, stays as it is."""
    if any(line.startswith(" ") for line in paragraph.splitlines()):
        return paragraph
    return textwrap.fill(" ".join(paragraph.split()), width, break_on_hyphens=False)


def make_parser(name: str, command: Callable[..., Any]) -> ArgumentParser:
    """Return the parser of a command.

    Parameters
    ----------
    name : str
        Behind ``seqlight``, such as ``study compare``.
    command : callable
        Its parameters, their types and its docstring make the options and the help.
    """
    parser = ArgumentParser(
        prog=f"seqlight {name}",
        usage=_usage(name, command),
        description=PARAMETERS.split(inspect.getdoc(command) or "")[0].strip(),
        formatter_class=CommandHelp,
        epilog=ALSO,
        exit_on_error=False,
        allow_abbrev=False,
    )
    parameters, command = list(inspect.signature(command).parameters), _with_types(command)
    for title, names in grouped(parameters).items():
        group = parser.add_argument_group(title)
        skip: set[str | int] = {one for one in parameters if one not in names}
        group.add_function_arguments(command, as_group=False, skip=skip)
    if CONFIG not in parameters:
        parser.add_argument("--config", action="config")  # which also adds --print_config
    return parser


def _with_types(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function with its annotations as types, not text.

    For text, the parser would import what a module imports for type checkers alone, which may take seconds.
    """
    hints = type_hints(command)
    if not hints or not isinstance(command, types.FunctionType):
        return command
    twin = types.FunctionType(
        command.__code__, command.__globals__, command.__name__, command.__defaults__, command.__closure__
    )
    functools.update_wrapper(twin, command)
    del twin.__wrapped__  # type: ignore[attr-defined]
    twin.__kwdefaults__ = command.__kwdefaults__
    twin.__annotations__ = hints
    return twin


def parse(name: str, words: list[str], command: Callable[..., Any]) -> dict[str, Any]:
    """Return the arguments for a command, from the words behind its name.

    Raises
    ------
    UsageError
        If there is an option that the command does not have, or a word is left over.
    jsonargparse.ArgumentError
        If a value is of another type, or is missing.
    SystemExit
        After ``--help`` and ``--print_config``.
    """
    hints = type_hints(command)
    others = other_names(list(inspect.signature(command).parameters))
    typed = read_options(words, command)
    values = {one: as_value(given, hints.get(one, str)) for one, given in typed.values.items()}
    configs = [Path(one.partition("=")[2]) for one in typed.parser if one.startswith(f"--{CONFIG}=")]
    for parameter in dict.fromkeys(one for one, _, _ in typed.parts):
        before = value_before(parameter, typed.values.get(parameter, []), configs, others)
        parts = [(path, value) for one, path, value in typed.parts if one == parameter]
        values[parameter] = as_json(set_parts(parameter, before, parts))
    # Files first, so that what is typed goes before what they say, wherever it stands.
    files = [f"--{CONFIG}={without_typed(one, values, others)}" for one in configs]
    further = [one for one in typed.parser if not one.startswith(f"--{CONFIG}=")]
    parser = make_parser(name, command)
    found = parser.parse_args([*files, *further, *(f"--{one}={value}" for one, value in values.items())])
    arguments = dict(vars(parser.instantiate(found)))
    return {one: arguments[one] for one in inspect.signature(command).parameters if one in arguments}


def _usage(name: str, command: Callable[..., Any]) -> str:
    parameters = inspect.signature(command).parameters.values()
    required = [one.name for one in parameters if one.default is inspect.Parameter.empty]
    words = [f"--{one} {one.upper()}" if has_group(one) else one.upper() for one in required]
    return " ".join(["seqlight", name, *words, "[options]"])
