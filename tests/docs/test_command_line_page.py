"""The page of the command line: its options are read as it says, its file fits the command, its own command runs."""

from __future__ import annotations

import inspect
import re
import shlex
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import yaml

import seqlight as sl
import seqlight.lit
from seqlight.cli import main as command_line
from seqlight.cli.attribute_command import attribute_command
from seqlight.cli.command_parser import parse
from seqlight.cli.export_command import export_command
from seqlight.cli.interruption import RESUMED, STATUS
from seqlight.cli.seqlets_command import seqlets_command

from .conftest import BLOCK, DOCS, at_home

PAGE = (DOCS / "command_line.md").read_text()
BLOCKS = dict(BLOCK.findall(PAGE))


def test_the_file_and_the_line_that_takes_it(tmp_path):
    (tmp_path / "attribute.yaml").write_text(BLOCKS["yaml"])
    words = shlex.split(BLOCKS["bash"])
    assert words[:2] == ["seqlight", "attribute"]
    with at_home(tmp_path):
        found = parse("attribute", words[2:], attribute_command)
    written = yaml.safe_load(BLOCKS["yaml"])
    assert found["model"] == {"class_path": "my_models.Net", "init_args": {"width": 32}}
    assert found["devices"] == 2
    assert found["checkpoint"] == [Path("fold0.pt"), Path("fold1.pt")]
    assert found["target"] == written["target"]
    assert found["to"] == written["to"]


def test_the_table_of_options():
    rows = re.findall(r"^\| `(--[^|]*)` \|", PAGE.partition("Python's parameters")[0], re.MULTILINE)
    assert len(rows) == 7
    typed = "--model a.B --data a.fa --out out ".split()
    for row in rows:
        for words in row.split("`, `"):
            if not words.startswith("--chroms"):  # of another command
                assert parse("attribute", [*typed, *shlex.split(words)], attribute_command)


def test_options_that_have_another_name_in_python():
    rows = re.findall(r"^\| `(--[^|]*)` \| (`.*) \|$", PAGE.partition("Python's parameters")[2], re.MULTILINE)
    assert [len(options.split("`, `")) for options, _ in rows] == [2, 2, 1]
    commands = [("export", export_command, "a"), ("seqlets", seqlets_command, "a")]
    commands.append(("attribute", attribute_command, "--model a.B --data a.fa --out out"))
    for (options, calls), (name, command, typed) in zip(rows, commands, strict=True):
        found = [parse(name, [*typed.split(), *shlex.split(one)], command) for one in options.split("`, `")]
        assert all(one == found[0] for one in found)
        for call in re.findall(r"`(\w+)\([^`]*?(\w+)=", calls):
            assert call[1] in inspect.signature(getattr(sl, call[0], None) or getattr(sl.lit, call[0])).parameters


def test_a_command_of_your_own(tmp_path, monkeypatch, capsys):
    (tmp_path / "counting.py").write_text(BLOCKS["python"])
    monkeypatch.setattr("sys.path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "counting", raising=False)
    entry = EntryPoint("count", "counting:count_command", "seqlight.commands")
    monkeypatch.setattr(command_line, "entry_points", lambda group: [entry])
    command_line.main(["count", "attributions", "--longest", "5"])
    assert capsys.readouterr().out == "attributions 5\n"


def test_statuses_and_what_goes_on():
    assert f"| {STATUS} | interrupted" in PAGE
    sentence = PAGE[PAGE.index("After an interruption") :].partition("go on")[0]
    assert set(re.findall(r"`seqlight (\w+)`", sentence)) == RESUMED.keys() - {"fit"}
