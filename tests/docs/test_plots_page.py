"""The page about pictures: it runs, and shows what it draws."""

import pytest

from .conftest import difference

NAMES = ["logo", "colors", "tracks", "stack", "convergence", "ledger", "mutagenesis", "pwm"]


@pytest.fixture(scope="module")
def page(run_page):
    return run_page("plots.md")


@pytest.mark.parametrize("name", NAMES)
def test_pictures_are_those_shown(page, name):
    # Texts of another FreeType are a little elsewhere.
    assert difference(page[1] / f"plots_{name}.png") < 0.05


def test_nothing_else_is_drawn_or_printed(page):
    found, folder = page
    assert {path.name for path in folder.iterdir()} == {f"plots_{name}.png" for name in NAMES} | {
        "logo.html",
        "logos.html",
    }
    assert found.printed == [""] * len(found.printed)


def test_the_html_page_stands_alone(page):
    text = (page[1] / "logo.html").read_text()
    assert "MYC, upstream" in text
    assert '"locus":{"chrom":"chr8","start":127735433,"end":127735553,"reverse":false}' in text
    assert "<script src" not in text
    assert "http" not in text
