"""The tutorial, as its readers run it."""

import pytest

from .conftest import difference

for needed in ("pyjaspar", "modiscolite", "h5py"):
    pytest.importorskip(needed)


@pytest.fixture(scope="module")
def tutorial(run_page):
    return run_page("tutorial.md")


def test_what_is_printed_is_what_comes_out(tutorial):
    page, _ = tutorial
    assert len(page.printed) > 10
    assert page.printed == page.written


def test_both_motifs_come_out(tutorial):
    page, _ = tutorial
    assert "TGA.TCA" in page.printed[-1]
    assert "GCC..CT..TGG" in page.printed[-1] or "CCA..AG..GGC" in page.printed[-1]


@pytest.mark.parametrize("name", ["tutorial_logo.png", "tutorial_seqlets.png", "tutorial_motif.png"])
def test_pictures_are_those_shown(tutorial, name):
    _, folder = tutorial
    # Texts of another FreeType are a little elsewhere.
    assert difference(folder / name) < 0.05


def test_nothing_else_is_left_behind(tutorial):
    _, folder = tutorial
    left = {path.name for path in folder.iterdir()}
    assert left == {"tutorial_logo.png", "tutorial_seqlets.png", "tutorial_motif.png", "ctcf.meme", "modisco"}
