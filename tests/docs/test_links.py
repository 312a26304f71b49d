"""Every relative link of the documentation leads to a file, every file that is named exists, and the index is whole."""

import re
from pathlib import Path

import pytest

from .conftest import DOCS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
ACTIONS = "../../actions/"  # a page of the public repository, and no file


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_to_files(page):
    targets = re.findall(r"\]\(([^)#]+)", page.read_text())
    files = [one for one in targets if "://" not in one and not one.startswith(ACTIONS)]
    assert [one for one in files if not (page.parent / one.replace("\\", "")).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_files_that_are_named_exist(page):
    named = re.findall(r"(?<!\[)\b(?:benchmarks|callbacks|configs|docs|tests|toolkit)/[\w/]+\.\w+", page.read_text())
    assert [one for one in named if not (ROOT / one).exists()] == []


def test_the_index_lists_every_page():
    index = (DOCS / "README.md").read_text()
    assert [page.name for page in DOCS.glob("*.md") if page.name != "README.md" and f"({page.name})" not in index] == []
