"""The how-to pages: their blocks run and print what is shown, and the names in their tables exist."""

import ast
import importlib
import importlib.util
import re
from functools import lru_cache
from pathlib import Path

import pytest

from .conftest import DOCS, difference

# Each with the packages that it needs beside ours.
PAGES = {
    "how_to/command_line": [],
    "how_to/several_inputs": [],
    "how_to/multi_task": [],
    "how_to/genome_track": ["pyBigWig"],
    "how_to/variants": [],
    "how_to/watch_training": ["pytorch_lightning"],
    "how_to/compare_implementations": [],
    "how_to/from_tangermeme": [],
    "how_to/from_captum": [],
    "deltas": [],
}


@pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require gradients:UserWarning")
@pytest.mark.filterwarnings("ignore:Setting forward, backward hooks:UserWarning")
@pytest.mark.filterwarnings("ignore:The number of training batches:UserWarning")
@pytest.mark.parametrize("name", PAGES)
def test_what_is_printed_is_what_comes_out(run_page, name):
    for package in PAGES[name]:
        pytest.importorskip(package)
    page, folder = run_page(f"{name}.md")
    assert [without_rounding(one) for one in page.printed] == [without_rounding(one) for one in page.written]
    for picture in folder.glob("*.png"):
        # Texts of another FreeType are a little elsewhere.
        assert difference(picture) < 0.05


def without_rounding(text):
    """Return a text without numbers that are rounding, which differ from processor to processor."""
    return re.sub(r"\b\d+e-1\d\b", "#", text)


def rows(page):
    """Return the cells of the table of names, without its head."""
    lines = [line for line in (DOCS / "how_to" / page).read_text().splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def ours_exist(cell):
    for name in re.findall(r"`((?:sl|seqlight)\.[\w.]+)`", cell):
        module, _, attribute = name.replace("sl.", "seqlight.", 1).rpartition(".")
        getattr(importlib.import_module(module), attribute)


@lru_cache
def names_of_tangermeme(module):
    """Return the public names of a file of tangermeme, without importing it, which would take seconds."""
    folder = Path(importlib.util.find_spec("tangermeme").submodule_search_locations[0])
    file = folder / f"{module}.py"
    files = [file] if file.exists() else sorted((folder / module).glob("*.py"))
    return {
        node.name
        for one in files
        for node in ast.parse(one.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }


def test_names_beside_those_of_tangermeme_exist():
    pytest.importorskip("tangermeme")
    page = "from_tangermeme.md"
    found = rows(page)
    assert len(found) > 15
    for ours, theirs, _ in found:
        ours_exist(ours)
        for name in re.findall(r"`([\w.]+)`", theirs):
            module, _, attribute = name.partition(".")
            assert attribute in names_of_tangermeme(module), name
    (absent,) = re.findall(r"^Not here: (.*?)They take", (DOCS / "how_to" / page).read_text(), re.DOTALL | re.MULTILINE)
    for name in re.findall(r"`(\w+\.\w+)`", absent):
        module, _, attribute = name.partition(".")
        assert attribute in names_of_tangermeme(module), name


def test_names_beside_those_of_captum_exist():
    found = rows("from_captum.md")
    assert len(found) > 8
    for ours, theirs, _ in found:
        ours_exist(ours)
        for name in re.findall(r"`captum\.(\w+)\.(\w+)`", theirs):
            getattr(importlib.import_module(f"captum.{name[0]}"), name[1])
