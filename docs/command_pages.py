"""The page of the commands: what ``seqlight --help`` and the ``--help`` of each command print."""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

GROUP, COLUMNS = "seqlight.commands", 100


def commands(project: Path) -> list[EntryPoint]:
    """Return the commands that ``pyproject.toml`` declares, which may be newer than those that are installed."""
    declared = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["entry-points"][GROUP]
    return [EntryPoint(name, value, GROUP) for name, value in declared.items()]


def commands_page(project: Path) -> str:
    """Return the page, as Markdown."""
    from seqlight.cli.overview import CHAPTERS, overview, typed_name

    found = {typed_name(one.name): one for one in commands(project)}
    known = [name for names in CHAPTERS.values() for name in names if name in found]
    lines = [
        "# Commands",
        "What the program prints about itself, for each command.",
        f"```text\n{overview(found.values())}\n```",
    ]
    for name in [*known, *sorted(found.keys() - set(known))]:
        lines += [f"## seqlight {name}", f"```text\n{help_of(name, found[name].load())}\n```"]
    return "\n\n".join(lines) + "\n"


def help_of(name: str, command: Callable[..., Any]) -> str:
    """Return the help of a command; of one that takes its words as they are, what its docstring says."""
    from seqlight.cli.command_parser import parse

    if any(one.kind is one.VAR_POSITIONAL for one in inspect.signature(command).parameters.values()):
        return inspect.cleandoc(command.__doc__ or "")
    out = io.StringIO()
    with terminal_of_one_width(), contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        parse(name, ["--help"], command)
    return out.getvalue().strip()


@contextlib.contextmanager
def terminal_of_one_width() -> Iterator[None]:
    """Let texts be wrapped as in a terminal of 100 columns."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(COLUMNS)
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
