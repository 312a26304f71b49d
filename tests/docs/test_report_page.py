"""The page on the page of a run: it runs, and the page that it makes has what it says."""

import re

import pytest


@pytest.fixture(scope="module")
def page(run_page):
    return run_page("report.md")


def test_what_is_printed_is_what_comes_out(page):
    assert page[0].printed == page[0].written


def test_the_page_has_the_sections_of_the_table(page):
    html = (page[1] / "attributions" / "report.html").read_text()
    sections = re.findall(r"^\| ([A-Z][^|]+) \|", page[0].path.read_text(), flags=re.MULTILINE)
    assert re.findall(r"<h2>(.*?)</h2>", html) == sections
    assert "<h1>A network that knows two motifs</h1>" in html
    assert "Attributions sum to the differences of outputs" in html


def test_the_motifs_are_found(page):
    table = (page[1] / "attributions" / "seqlets.tsv").read_text()
    assert table.count("TGACTCA") > 80
    assert table.count("AGATAAG") > 80
