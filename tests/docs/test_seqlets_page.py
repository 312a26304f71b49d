"""The page about seqlets: it runs, prints what it says, and its numbers are those that were measured."""

import pytest

for needed in ("memelite", "pyjaspar", "pyBigWig"):
    pytest.importorskip(needed)


@pytest.fixture(scope="module")
def page(run_page):
    return run_page("seqlets.md")


def test_what_is_printed_is_what_comes_out(page):
    assert len(page[0].printed) > 10
    assert page[0].printed == page[0].written


def test_the_files_are_there(page):
    left = {path.name for path in page[1].iterdir()}
    assert left == {"seqlets.bed", "attributions.bw", "seqlets.fa", "motif.meme", "modisco"}
