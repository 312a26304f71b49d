from __future__ import annotations

import re
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

from seqlight.cli.overview import CHAPTERS, EXAMPLES, overview

ROOT = Path(__file__).parents[2]


def declared():
    """As in pyproject.toml now, not when the package was installed."""
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["seqlight.commands"]
    return [EntryPoint(name, where, "seqlight.commands") for name, where in found.items()]


def test_each_command_has_its_place_and_a_line():
    commands = declared()
    text = overview(commands)
    names = [name for chapter in CHAPTERS.values() for name in chapter]
    assert {one.name.replace("-", " ") for one in commands} <= set(names)
    shown = re.findall(r"^  (\w+(?: \w+)?)  +\S.*$", text, re.MULTILINE)
    there = {one.name.replace("-", " ") for one in commands}
    assert shown == [name for name in names if name in there]
    assert "cannot be loaded" not in text
    # A line each.
    assert not [line for line in text.splitlines() if line.startswith(" " * 17)]
    assert max(map(len, text.splitlines())) <= 100


def test_three_lines_show_the_way():
    assert [line.split()[:2] for line in EXAMPLES.splitlines()] == [
        ["seqlight", "attribute"],
        ["seqlight", "seqlets"],
        ["seqlight", "report"],
    ]


def test_a_command_of_another_package_may_be_broken():
    broken = EntryPoint("broken", "no_such_package.module:function", "seqlight.commands")
    text = overview([*declared(), broken])
    assert "Further commands:\n  broken         (cannot be loaded: No module named 'no_such_package')" in text
