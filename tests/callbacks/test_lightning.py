"""The callbacks use only public names of Lightning, and no hook that runs for each batch."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from lightning.pytorch.callbacks import Callback

import seqlight_callbacks

FILES = sorted(Path(seqlight_callbacks.__file__).parent.rglob("*.py"))
CALLBACKS = [
    getattr(seqlight_callbacks, name) for name in seqlight_callbacks.__all__ if name.endswith(("back", "Report"))
]
# The names under which code has objects of Lightning.
GIVEN = {"trainer", "pl_module", "logger", "module", "L"}


def private(name):
    return name.startswith("_") and not name.startswith("__")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_private_of_lightning(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and private(node.attr):
            # Private names of our own objects are fine, if the expression goes through no object of Lightning.
            names = {one.id for one in ast.walk(node.value) if isinstance(one, ast.Name)}
            assert not names & GIVEN, f"line {node.lineno}: {ast.unparse(node)}"
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("lightning", "torch"):
            words = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            assert not any(map(private, words)), f"line {node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize("kind", CALLBACKS, ids=lambda kind: kind.__name__)
def test_nothing_private_of_its_callbacks(kind):
    theirs = {name for name in vars(Callback) if private(name)}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                assert node.attr not in theirs, f"line {node.lineno} of {path.name}: {node.attr}"
    # Lightning writes over these on every callback.
    assert not {"log", "log_dict"} & vars(kind).keys()


@pytest.mark.parametrize("kind", CALLBACKS, ids=lambda kind: kind.__name__)
def test_no_hook_runs_each_batch(kind):
    hooks = [name for name in dir(Callback) if "batch" in name or name.endswith(("backward", "step", "zero_grad"))]
    assert len(hooks) >= 10
    changed = [name for name in hooks if getattr(kind, name) is not getattr(Callback, name)]
    assert not changed
