"""Imports between folders point one way: the contracts are in pyproject.toml."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
IMPORTERS = {"import_module", "__import__"}


def imported_by_text(source):
    """Return the names of our modules that a source imports by a text, up to the first part that is computed."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and node.args]
    texts = [node.args[0] for node in calls if ast.unparse(node.func).rpartition(".")[2] in IMPORTERS]
    first = [one.values[0] if isinstance(one, ast.JoinedStr) else one for one in texts]
    names = [one.value for one in first if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    return [name for name in names if name.startswith("seqlight")]


def test_arrows():
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


# The contracts do not see such imports: those of a file's own folder alone cannot point the wrong way.
@pytest.mark.parametrize("package", ["toolkit/seqlight", "callbacks/seqlight_callbacks"])
def test_what_is_imported_by_a_text_lies_beside_the_file(package):
    away = {}
    for path in (ROOT / package).rglob("*.py"):
        folder = ".".join(path.parent.relative_to((ROOT / package).parent).parts)
        away |= {str(path): name for name in imported_by_text(path.read_text()) if not name.startswith(f"{folder}.")}
    assert not away


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ('import_module("seqlight.targets.registry").parse(target)', ["seqlight.targets.registry"]),
        ('importlib.import_module(f"seqlight.{room}.{name}")', ["seqlight."]),
        ('__import__("seqlight_callbacks")', ["seqlight_callbacks"]),
        ('import_module("triton"), import_module(name), read("seqlight.targets")', []),
    ],
)
def test_which_texts_are_imported(source, names):
    assert imported_by_text(source) == names
