"""The blocks of docs/write_a_rule.md run in order, print what the page says, and their tests pass."""

import re
from pathlib import Path

import pytest
import torch

from seqlight.attribution.rules import table
from seqlight.errors import IntegratedWarning

PAGE = Path(__file__).parents[2] / "docs" / "write_a_rule.md"
BLOCKS = re.findall(r"^```(python|text)\n(.*?)^```$", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def _table():
    """Give the table back as it was."""
    before = dict(table.rules())
    yield
    table.rules().clear()
    table.rules().update(before)


@pytest.fixture(scope="module")
def page(_table):
    """Run the page; return the names that its blocks define."""
    names = {"__name__": "page"}
    with pytest.warns(IntegratedWarning, match=r"Snake in module '1' \(SnakeActivation\)"):
        exec(BLOCKS[0][1], names)
    for kind, text in BLOCKS[1:]:
        if kind == "python":
            exec(text, names)
    return names


def test_the_page_prints_what_it_says(page, capsys):
    (at,) = (i for i, (kind, _) in enumerate(BLOCKS) if kind == "text")
    exec(BLOCKS[at - 1][1], page)
    assert capsys.readouterr().out == BLOCKS[at][1]


def test_the_rule_is_complete(page, incompleteness, Around):
    page["test_it_adds_up"](incompleteness, Around)


def test_the_rule_is_its_definition(page, multiplied):
    page["test_it_is_the_mean_of_the_derivative"](multiplied)


def test_the_rule_explains_every_call(page, incompleteness, Around, monkeypatch):
    calls = []
    explain = page["Square"].explain
    monkeypatch.setattr(page["Square"], "explain", lambda *args: calls.append(args) or explain(*args))
    assert incompleteness(Around(torch.square)) < 1e-9
    assert calls
