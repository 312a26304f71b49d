import json
import re

import numpy as np
import pytest

import seqlight as sl
from seqlight.errors import InputError
from seqlight.plot.interactive_logo import interactive_logo
from seqlight.plot.logo_page import logo_script, write_logos


def contents(page):
    return [json.loads(one) for one in re.findall(r'<script type="application/json">(.*?)</script>', page)]


def test_a_page(locus, tmp_path):
    logo = interactive_logo(locus[0], annotations=locus[1], title="a title")
    path = logo.write_html(tmp_path / "logo.html")
    page = path.read_text()
    assert path == tmp_path / "logo.html"
    assert "<title>a title</title>" in page
    assert contents(page) == [logo.content]
    # Nothing is loaded from elsewhere.
    assert not re.search(r"https?://|src=|@import|url\((?!#)", page)


def test_a_page_of_twenty_is_small_and_has_one_script(tmp_path):
    """Twenty loci of 2,114 positions with every letter at every position, the most there is to draw."""
    rng = np.random.RandomState(0)
    logos = [interactive_logo(rng.laplace(size=(4, 2114)), title=f"peak {i}") for i in range(20)]
    page = write_logos(tmp_path / "logos.html", logos, "Peaks <1>").read_text()
    assert len(page) < 2_000_000
    assert page.count("<script>\n") == page.count("<style>\n.seqlight") == 1
    assert [f"<span>peak {i}</span>" in page for i in range(20)] == [True] * 20
    assert "<h1>Peaks &lt;1&gt;</h1>" in page
    # As a notebook shows them, each with its script.
    cells = "".join(one._repr_html_() for one in logos)
    assert len(cells) < 2_000_000


def test_a_notebook_shows_the_figure_alone(locus):
    logo = interactive_logo(locus[0])
    assert logo._repr_html_() == logo.to_html(full_html=False)
    assert logo._repr_html_().startswith("<figure")
    assert logo_script() in logo._repr_html_()
    assert logo_script() not in logo.to_html(full_html=False, script=False)
    assert repr(logo) == "InteractiveLogo of positions 0 to 120, 0 annotations: write_html(path) makes a page"


def test_buttons_have_names(locus):
    page = interactive_logo(locus[0]).to_html()
    buttons = re.findall(r"<button.*?>", page)
    assert len(buttons) == 5
    assert all('aria-label="' in one and 'type="button"' in one for one in buttons)


@pytest.mark.parametrize(("logos", "message"), [([], "no logos"), ([1], "int"), (np.eye(4), "array")])
def test_something_else_than_logos_is_refused(tmp_path, logos, message):
    with pytest.raises(InputError, match=message):
        sl.write_logos(tmp_path / "logos.html", logos)
    assert not list(tmp_path.iterdir())


def test_a_page_in_no_folder_is_refused(locus, tmp_path):
    with pytest.raises(InputError, match="there is no folder"):
        interactive_logo(locus[0]).write_html(tmp_path / "no" / "logo.html")
