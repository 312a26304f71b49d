"""The page about implementations: its blocks run, its table has all that are shipped, and its entry point is one."""

import re
import tomllib

import pytest

from seqlight.studies.implementations.registry import GROUP

from .conftest import DOCS

PAGE = (DOCS / "studies" / "implementations.md").read_text()
PROJECT = tomllib.loads((DOCS.parent / "pyproject.toml").read_text())["project"]


@pytest.mark.slow  # it starts four processes
@pytest.mark.filterwarnings("ignore:Setting forward, backward hooks:UserWarning")
@pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require gradients:UserWarning")
def test_what_is_printed_is_what_comes_out(run_page):
    page, _ = run_page("studies/implementations.md")
    assert page.printed == page.written
    assert set(page.names["results"].cells["status"]) == {"ok"}


def test_the_tables_name_what_is_shipped():
    rows = re.findall(r"^\| `([\w-]+)` \|", PAGE, flags=re.MULTILINE)
    assert sorted(rows) == sorted(PROJECT["entry-points"][GROUP])


def test_the_entry_point_is_in_the_group():
    text = re.search(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)[1]
    assert list(tomllib.loads(text)["project"]["entry-points"]) == [GROUP]
