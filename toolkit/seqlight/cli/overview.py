"""What ``seqlight --help`` prints: the commands in the order of their use, and three lines that work."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterable
from importlib.metadata import EntryPoint

CHAPTERS = {
    "Try it": ["demo"],
    "Compute, on any number of devices": ["predict", "attribute", "track"],
    "Read the results": ["seqlets", "motifs", "report", "export"],
    "Find out what can be believed": ["audit", "study", "study compare", "study page"],
    "Train": ["fit", "validate", "test"],
}
MORE = "Further commands"
WIDTH, COLUMN = 100, 17
EXAMPLES = """\
  seqlight attribute --model my_models.Net --checkpoint best.ckpt --data peaks.fa --out attributions
  seqlight seqlets attributions
  seqlight report attributions"""


def typed_name(entry: str) -> str:
    """Return a command as it is typed: the entry point ``study-compare`` is ``seqlight study compare``."""
    return entry.replace("-", " ")


def overview(commands: Iterable[EntryPoint]) -> str:
    """Return the text that shows what there is; nothing heavy is loaded for it."""
    found = {typed_name(one.name): one for one in commands}
    known = [name for names in CHAPTERS.values() for name in names]
    chapters = CHAPTERS | {MORE: sorted(found.keys() - set(known))}
    parts = [
        "usage: seqlight COMMAND [options]",
        "See what models of biological sequences learn. The commands, in the order of their use:",
    ]
    for title, names in chapters.items():
        lines = [_line(name, summary(found[name])) for name in names if name in found]
        if lines:
            parts.append("\n".join([f"{title}:", *lines]))
    parts.append(f"From sequences to a page:\n{EXAMPLES}")
    parts.append(
        "`seqlight COMMAND --help` shows the options of a command, and an example; `seqlight --version`\n"
        "prints the version. After an error, the same command with --debug shows where it came from."
    )
    return "\n\n".join(parts)


def summary(command: EntryPoint) -> str:
    """Return the first sentence of a command's docstring; of one that cannot be loaded, the reason."""
    try:
        text = inspect.getdoc(command.load()) or ""
    except Exception as error:  # of another package: the other commands work
        return f"(cannot be loaded: {error})"
    return " ".join(text.partition("\n\n")[0].split())


def _line(name: str, text: str) -> str:
    return textwrap.fill(
        text, WIDTH, initial_indent=f"  {name:<{COLUMN - 3}} ", subsequent_indent=" " * COLUMN, break_on_hyphens=False
    )
