"""Every relative link of the documentation leads to a file, every file that is named exists, and the index is whole."""

import re
from pathlib import Path

import pytest

from .conftest import DOCS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
ACTIONS = "../../actions/"  # a page of the public repository, and no file


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_to_files(page):
    targets = re.findall(r"\]\(([^)#]+)", page.read_text())
    files = [one for one in targets if "://" not in one and not one.startswith(ACTIONS)]
    assert [one for one in files if not (page.parent / one.replace("\\", "")).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_that_are_named_exist(page):
    named = re.findall(r"(?<!\[)\b(?:benchmarks|callbacks|configs|docs|tests|toolkit)/[\w/]+\.\w+", page.read_text())
    assert [one for one in named if not (ROOT / one).exists()] == []


def test_the_index_lists_every_page():
    for index in (DOCS / "README.md", DOCS / "studies" / "README.md"):
        pages = {page.relative_to(index.parent) for page in index.parent.rglob("*.md")} - {Path(index.name)}
        listed = {Path(link) for link in re.findall(r"\]\(([^)#]+)", index.read_text())}
        assert [page for page in pages - listed if not (index.parent == DOCS and page.parent.name == "studies")] == []
