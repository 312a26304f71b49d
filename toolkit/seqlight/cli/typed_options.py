"""The words of a command line, and the options that they give to the parser: ``--name=value``, each spelled out.

Dashes and underscores are the same in the name of an option. A switch needs no value, a list takes several
(``--chroms chr1 chr2``), names with values are given together or one at a time (``--init-args width=64``,
``--init-args.width 64``). Words without an option are the first parameters that have no default.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seqlight.cli.foreign_names import OPTIONS, names_here
from seqlight.cli.parameter_types import alternatives, is_switch, item_type, takes_mapping, takes_one, type_hints
from seqlight.cli.usage import UsageError, nearest

# Options that are also known by another name: the one that they had, or that of Python's parameter.
OTHER_NAMES = {"arguments": "init_args", "target_fdr": "fdr", "formats": "to"}

# What the parser itself has beside the parameters of a command; the latter two take no value.
CONFIG, PRINT_CONFIG, HELP = "config", "print_config", "help"
SWITCH_VALUES = {"true": "true", "yes": "true", "false": "false", "no": "false"}


def other_names(parameters: Collection[str]) -> dict[str, str]:
    """Return by which other names the parameters of a command are known, and which ones these are.

    Examples
    --------
    >>> other_names(["data", "to"]), other_names(["formats", "to"])
    ({'formats': 'to'}, {})
    """
    return {one: name for one, name in OTHER_NAMES.items() if name in parameters and one not in parameters}


@dataclass
class TypedOptions:
    """The options of a command line.

    Attributes
    ----------
    parser : list of str
        What the parser is given for itself: ``--config``, ``--print_config`` and ``--help``.
    values : dict of str to list of str
        The values of each parameter, in the order in which they were typed.
    parts : list of (str, str, str)
        Values that are set inside of a mapping: the parameter, the path of names behind its dot, and the value.
    """

    parser: list[str] = field(default_factory=list)
    values: dict[str, list[str]] = field(default_factory=dict)
    parts: list[tuple[str, str, str]] = field(default_factory=list)


def read_options(words: Iterable[str], command: Callable[..., Any]) -> TypedOptions:
    """Return the options in the words behind the name of a command.

    Raises
    ------
    UsageError
        If there is an option that the command does not have, a value is missing, or a word is left over.
    """
    return _Reader(list(words), type_hints(command), inspect.signature(command)).read()


class _Reader:
    def __init__(self, words: list[str], hints: dict[str, Any], signature: inspect.Signature) -> None:
        self.words, self.hints = words, hints
        self.names = list(signature.parameters)
        self.required = [one.name for one in signature.parameters.values() if one.default is inspect.Parameter.empty]
        self.found = TypedOptions()
        self.loose: list[str] = []

    def read(self) -> TypedOptions:
        while self.words:
            word = self.words.pop(0)
            if word == "-h":
                self.found.parser.append("--help")
            elif word.startswith("--") and len(word) > 2:
                self._read_option(word)
            else:
                self.loose.append(word)
        self._place_loose()
        return self.found

    def _read_option(self, word: str) -> None:
        typed, equals, value = word.removeprefix("--").partition("=")
        first, dot, path = typed.partition(".")
        name = first.removesuffix("+").replace("-", "_")
        if name in (HELP, PRINT_CONFIG):
            self.found.parser.append(f"--{name}{equals}{value}")
            return
        if name == CONFIG and CONFIG not in self.names:
            self.found.parser.append(f"--{CONFIG}={value if equals else self._take_one(word)}")
            return
        name = other_names(self.names).get(name, name)
        if name not in self.names:
            raise UsageError(self._unknown(first))
        hint = self.hints.get(name, str)
        if dot and takes_mapping(hint):
            self.found.parts.append((name, path, value if equals else self._take_one(word)))
        elif dot or first.endswith("+"):  # a nested option of the parser's own
            one = value if equals else self._take_one(word)
            self.found.parser.append(f"--{name}{first[len(name) :]}{dot}{path}={one}")
        elif is_switch(hint) and not equals:
            said = self.words[0].lower() if self.words else ""
            self._give(name, SWITCH_VALUES[self.words.pop(0).lower()] if said in SWITCH_VALUES else "true")
        elif item_type(hint) is not None:
            for one in [value] if equals else self._take_several(word):
                self._give(name, one)
        elif takes_mapping(hint) and not takes_one(hint):
            self._read_mapping(name, [value] if equals else self._take_assignments(word))
        else:
            self._give(name, value if equals else self._take_one(word))

    def _read_mapping(self, name: str, values: list[str]) -> None:
        for value in values:
            path, equals, one = value.partition("=")
            if equals and _is_path(path):
                self.found.parts.append((name, path, one))
            else:
                self._give(name, value)

    def _give(self, name: str, value: str) -> None:
        # A shell variable that is not set; an empty path would be the current folder.
        if not value and Path in alternatives(self.hints.get(name, str)):
            raise UsageError(f"--{name} is empty: expected a path")
        self.found.values.setdefault(name, []).append(value)

    def _take_one(self, word: str) -> str:
        if not self.words or self.words[0].startswith("--"):
            raise UsageError(f"{word} needs a value")
        return self.words.pop(0)

    def _take_several(self, word: str) -> list[str]:
        taken = [self._take_one(word)]
        while self.words and not self.words[0].startswith("--"):
            taken.append(self.words.pop(0))
        return taken

    def _take_assignments(self, word: str) -> list[str]:
        taken = [self._take_one(word)]
        while self.words and "=" in self.words[0] and _is_path(self.words[0].partition("=")[0]):
            taken.append(self.words.pop(0))
        return taken

    def _place_loose(self) -> None:
        """Give the words without an option to the parameters without a default."""
        free = [one for one in self.required if one not in self.found.values]
        if len(self.loose) > len(free):
            hint = f"; write --{free[0]} {self.loose[0]}" if len(free) == 1 and len(self.loose) == 1 else ""
            raise UsageError(f"{self.loose[len(free)]!r} belongs to no option{hint}")
        for name, value in zip(free, self.loose, strict=False):
            self._give(name, value)

    def _unknown(self, typed: str) -> str:
        word = typed.replace("-", "_")
        here = names_here(word, self.names, OPTIONS)
        if here:
            return f"there is no option --{typed}; here it is {' or '.join(f'--{one}' for one in here)}"
        near = nearest(word, [*self.names, CONFIG, PRINT_CONFIG, HELP])
        return f"there is no option --{typed}" + (f"; the nearest is --{near}" if near else "")


def _is_path(text: str) -> bool:
    return bool(text) and all(one.isidentifier() for one in text.split("."))


def as_value(values: list[str], hint: Any) -> str:
    """Return what the parser is given for an option that was typed with these values: a list as JSON, else the last."""
    item = item_type(hint)
    if item is None or (len(values) == 1 and (takes_one(hint) or values[0].startswith("["))):
        return values[-1]
    return json.dumps([int(one) if item is int and one.lstrip("-").isdigit() else one for one in values])
