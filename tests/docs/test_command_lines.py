"""Every command line that a page shows has a command and options that exist."""

import inspect
import re
import shlex
from importlib import resources
from pathlib import Path

import pytest
from command_pages import commands

from seqlight.cli.typed_options import read_options
from seqlight.cli.usage import UsageError

from .conftest import BLOCK, DOCS, blocks_of

ROOT = Path(__file__).parents[2]
COMMANDS = {tuple(one.name.split("-")): one for one in commands(ROOT / "pyproject.toml")}
SKILL = Path(str(resources.files("seqlight").joinpath("skill", "SKILL.md")))
PAGES = [ROOT / "README.md", SKILL, *sorted(DOCS.rglob("*.md"))]


def command_lines(text):
    """Return the lines of blocks and the pieces of inline code that begin with the name of the program."""
    blocks = blocks_of(text, "bash", "console", "sh")
    lines = [line for body in blocks for line in body.replace("\\\n", " ").splitlines()]
    inline = [" ".join(one.split()) for one in re.findall(r"`(seqlight [^`]+)`", BLOCK.sub("", text))]
    return [one.partition("seqlight ")[2] for one in [*lines, *inline] if re.match(r"(\.venv/bin/)?seqlight ", one)]


def check(line):
    """Raise UsageError if there is no such command or option."""
    words = shlex.split(line.replace("...", "VALUE"), comments=True)
    words += ["VALUE"] * words[-1].startswith("--")  # in a sentence about an option
    if words[0].startswith("-") or words[0] == "COMMAND":
        return
    found = [COMMANDS[name] for n in (2, 1) if (name := tuple(words[:n])) in COMMANDS]
    if not found:
        raise UsageError(f"there is no command {words[0]}")
    command = found[0].load()
    free = any(one.kind is one.VAR_POSITIONAL for one in inspect.signature(command).parameters.values())
    if not free:
        read_options(words[len(found[0].name.split("-")) :], command)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_commands_and_options_exist(page):
    for line in command_lines(page.read_text()):
        check(line)


def test_pages_have_command_lines():
    assert sum(len(command_lines(page.read_text())) for page in PAGES) > 20


@pytest.mark.parametrize("line", ["atribute --model a.B", "attribute --modle a.B", "study comparison a b"])
def test_what_does_not_exist_is_noticed(line):
    with pytest.raises(UsageError):
        check(line)
