"""What agents read: the names in the skill exist, its block runs, and llms.txt leads to pages."""

import contextlib
import importlib
import pkgutil
import re
from importlib import resources
from pathlib import Path

import pytest
import yaml

from .conftest import DOCS, blocks_of

SKILL = resources.files("seqlight").joinpath("skill", "SKILL.md").read_text()
LLMS = (DOCS / "llms.txt").read_text()


def test_the_skill_has_a_name_and_a_description():
    _, head, _ = SKILL.split("---\n", 2)
    about = yaml.safe_load(head)
    assert about["name"] == "seqlight"
    assert 100 < len(about["description"]) < 1024


@pytest.mark.parametrize("text", [SKILL, LLMS], ids=["SKILL.md", "llms.txt"])
def test_names_exist(text):
    names = set(re.findall(r"\b((?:sl|seqlight|seqlight_callbacks)\.[\w.]+\w)", text)) - {"seqlight.skill"}
    assert len(names) >= 3
    for name in names:
        pkgutil.resolve_name(re.sub(r"^sl\b", "seqlight", name))


def test_names_of_packages_exist():
    packages = re.findall(r"`(seqlight\.\w+)` \(((?:`\w+`,?\s*)+)\)", SKILL)
    assert packages
    for package, text in packages:
        assert set(re.findall(r"`(\w+)`", text)) <= set(importlib.import_module(package).__all__)


def test_the_block_runs(tmp_path):
    (block,) = blocks_of(SKILL, "python")
    names = {}
    with contextlib.chdir(tmp_path):
        exec(compile(block, "SKILL.md", "exec"), names)
        assert all(Path(file).exists() for file in names["files"])
    assert list(names["seqlets"].columns)[:3] == ["example_idx", "start", "end"]


def test_what_the_mistakes_say_is_so():
    """The facts that are easily checked: shapes, errors and a keyword."""
    sl = importlib.import_module("seqlight")
    X = sl.random_one_hot((2, 4, 30), random_state=0)
    shuffled = sl.dinucleotide_shuffle(X, n=20, random_state=0)
    assert shuffled.shape == (2, 20, 4, 30)
    assert (shuffled[..., -1] == X[:, None, :, -1]).all()
    assert issubclass(sl.InputError, ValueError)
    assert all(issubclass(one, sl.SeqlightError) for one in (sl.InputError, sl.ResultsError))


def test_the_pages_that_llms_names_exist():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", LLMS) if link != "SKILL.md"]
    assert len(links) > 15
    assert [link for link in links if not (DOCS / link).exists()] == []
