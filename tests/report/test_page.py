from __future__ import annotations

import base64
import re

import pandas as pd
import pytest
from matplotlib.figure import Figure

import seqlight as sl
from page_elements import Elements
from seqlight.report.blocks import Code, Film, Numbers, Picture, Section, Table, Text
from seqlight.report.embedded_figure import embed
from seqlight.report.page import write_page

NASTY = '<script>alert("&")</script>'


def figure(height=1.0):
    one = Figure(figsize=(2, 1), layout="constrained")
    ax = one.subplots()
    ax.plot([0, 1], [0, height])
    ax.set_xlabel("x")
    return one


def sections():
    film = Film({f"epoch {i}": figure(i + 1) for i in range(3)}, "A film.")
    table = pd.DataFrame({"name": [NASTY], "value": [0.123456], "none": [float("nan")]})
    blocks = [Text(NASTY), Code(NASTY), Numbers({NASTY: NASTY}), Table(table, NASTY), Picture(figure(), NASTY), film]
    return [Section(NASTY, blocks), Section("Second", [Film({"only": figure()}, "Another.")])]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write_page(tmp_path_factory.mktemp("page") / "new" / "report.html", NASTY, NASTY, sections()).read_text()


def test_the_page_is_self_contained(page):
    elements = Elements(page)
    assert not elements.of("link")
    assert all(not script.get("src") for script in elements.of("script"))
    assert all(image["src"].startswith("data:image/") for image in elements.of("img"))
    assert all(anchor["href"].startswith("#") for anchor in elements.of("a"))
    assert {anchor["href"][1:] for anchor in elements.of("a")} == {section["id"] for section in elements.of("section")}
    assert not re.search(r"https?://|url\(|@import", page)
    for image in elements.of("img"):
        kind, data = image["src"].split(";base64,")
        # An SVG must not load anything; its namespaces are only names.
        drawn = base64.b64decode(data).decode("utf-8", "ignore") if "svg" in kind else ""
        assert not re.search(r'(href|src)="(?!#)', drawn)


def test_everything_is_escaped(page):
    assert page.count("<script>") == 1
    assert NASTY not in page
    assert page.count("&lt;script&gt;") >= 8


def test_a_film_shows_one_frame_at_a_time(page):
    films = page.split('<figure class="film">')[1:]
    assert len(films) == 2
    for film, n in zip(films, (3, 1), strict=True):
        elements = Elements(film.split("</figure>")[0])
        shown = ["hidden" not in image for image in elements.of("img")]
        assert shown == [False] * (n - 1) + [True]
        (slider,) = elements.of("input")
        assert (slider["min"], slider["max"], slider["value"]) == ("0", str(n - 1), str(n - 1))
        # A browser that restores the slider after a reload would show another frame than the slider indicates.
        assert slider["autocomplete"] == "off"
        assert slider["aria-label"]
    with pytest.raises(sl.InputError, match="no frames"):
        Film({}, "Nothing.").sources()


def test_numbers_of_a_table_are_short(page):
    assert "0.1235" in page
    assert "0.123456" not in page


def test_the_same_input_gives_the_same_bytes(tmp_path):
    once, again = (write_page(tmp_path / name, "T", "L", sections()).read_bytes() for name in ("a.html", "b.html"))
    assert once == again


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_embed(kind):
    source = embed(figure(), kind)
    assert source == embed(figure(), kind) != embed(figure(2.5), kind)
    assert base64.b64decode(source.split(",")[1])[:5] == (b"<?xml" if kind == "svg" else b"\x89PNG\r")


def test_a_failed_write_leaves_the_page_that_was_there(tmp_path, monkeypatch):
    path = write_page(tmp_path / "report.html", "T", "L", [])
    before = path.read_bytes()

    def full(self, text, **settings):
        self.write_bytes(b"<!doctype")
        raise OSError("no space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(OSError, match="no space"):
        write_page(path, "T", "L", sections())
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]
