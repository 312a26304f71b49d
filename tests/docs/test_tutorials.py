"""The four tutorials, as their readers run them: in order, in one folder."""

import pytest

from .conftest import difference

PAGES = ["sequences", "predictions", "attributions", "seqlets"]
PICTURES = ["starts_logo.png", "starts_seqlets.png", "starts_motif.png", "starts_mutagenesis.png"]


@pytest.fixture(scope="module")
def tutorials(run_pages):
    return run_pages(*(f"tutorials/{name}.md" for name in PAGES))


@pytest.mark.parametrize("i", range(4), ids=PAGES)
def test_what_is_printed_is_what_comes_out(tutorials, i):
    page = tutorials[0][i]
    assert len(page.printed) > 5
    assert page.printed == page.written


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_those_shown(tutorials, name):
    # Texts of another FreeType are a little elsewhere.
    assert difference(tutorials[1] / name) < 0.05


def test_nothing_else_is_left_behind(tutorials):
    left = {path.name for path in tutorials[1].iterdir() if path.name != "__pycache__"}
    assert left == {"starts.py", "starts.pt", "starts.fa", "starts.fa.fai", *PICTURES}
