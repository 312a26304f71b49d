import itertools
import sys
import time

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_hex

from seqlight.errors import InputError, MissingExtra
from seqlight.plot.interactive_logo import interactive_logo


@pytest.fixture(autouse=True)
def plotly():
    return pytest.importorskip("plotly")


def traces(figure):
    return {trace.name: trace for trace in figure.data}


def test_letters_fill_their_boxes(locus):
    X = locus[0]
    found = traces(interactive_logo(torch.from_numpy(X).requires_grad_(), start=20, end=90))
    for letter, row in zip("ACGT", X, strict=True):
        points = np.stack([found[letter].x, found[letter].y], axis=1)
        parts = np.split(points, np.flatnonzero(np.isnan(points[:, 0])))[:-1]
        at = [p for p in np.flatnonzero(row) if 20 <= p < 90]
        assert len(parts) == len(at)
        for part, position in zip(parts, at, strict=True):
            x, y = part[~np.isnan(part[:, 0])].T
            assert position < x.min() < x.max() < position + 1
            assert y[np.abs(y).argmax()] == pytest.approx(row[position], rel=1e-3)
            assert np.abs(y).min() == pytest.approx(0, abs=1e-9)


def test_a_hole_is_not_filled():
    """The line around an A turns the other way around its hole, so that their areas are subtracted."""
    trace = traces(interactive_logo(np.eye(4)[:, :1]))["A"]
    x, y = np.asarray(trace.x)[:-1], np.asarray(trace.y)[:-1]
    area = abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2
    outer = x.min(), x.max()
    assert 0.3 < area / (outer[1] - outer[0]) < 0.6


def test_hover_texts(locus):
    X, seqlets, motifs = locus
    texts = traces(interactive_logo(X, annotations=seqlets))["columns"].text
    assert len(texts) == 120
    assert texts[32].split("<br>") == ["position 32", f"<b>A</b> {X[0, 32]:+.4g}", texts[32].split("<br>")[2]]
    assert texts[32].endswith(f"seqlet 29 to 38, {seqlets['attribution'][0]:+.4g}")
    assert texts[70].count("seqlet") == 2
    assert texts[0].count("<br>") == 1
    assert "GATA1 70 to 76, +8.1" in traces(interactive_logo(X, annotations=motifs))["annotations"].text
    hypothetical = np.array([[0.0, -3.0], [1.0, 0], [2.0, 0], [0, 0]])
    texts = traces(interactive_logo(hypothetical))["columns"].text
    assert texts[0] == "position 0<br><b>G</b> +2<br><b>C</b> +1"


@pytest.mark.parametrize(("strand", "base"), [("+", 1000), ("-", 1119)])
def test_genome_coordinates(locus, strand, base):
    X, seqlets, _ = locus
    figure = interactive_logo(X, annotations=seqlets, locus=("chr8", 1000, 1120, strand))
    found = traces(figure)
    assert found["columns"].text[0].split("<br>")[1] == f"chr8:{base:,}"
    assert found["columns"].x[0] == base + 0.5
    assert figure.layout.xaxis.range == ((1000, 1120) if strand == "+" else (1120, 1000))
    starts = found["annotations"].base
    assert min(starts) == (1029 if strand == "+" else 1120 - 106)
    assert figure.layout.xaxis.title.text.startswith("position on chr8")


def test_bars_do_not_overlap():
    rng = np.random.RandomState(0)
    starts = rng.randint(0, 180, 60)
    table = pd.DataFrame({"start": starts, "end": starts + rng.randint(0, 20, 60)})
    bars = traces(interactive_logo(np.eye(4).repeat(50, axis=1), annotations=table))["annotations"]
    for row in set(bars.y):
        spans = sorted((a, a + w) for a, w, y in zip(bars.base, bars.x, bars.y, strict=True) if y == row)
        assert all(one[1] < other[0] for one, other in itertools.pairwise(spans))


def test_a_page(locus, tmp_path):
    interactive_logo(locus[0], title="a title").write_html(tmp_path / "logo.html", include_plotlyjs=False)
    assert "a title" in (tmp_path / "logo.html").read_text()


def test_2000_positions_are_fast_and_few_traces():
    X = np.random.RandomState(0).laplace(size=(4, 2000))
    start = time.perf_counter()
    figure = interactive_logo(X)
    assert time.perf_counter() - start < 2
    assert len(figure.data) == 5


def test_nothing_to_draw():
    figure = interactive_logo(np.zeros((4, 3)), annotations=pd.DataFrame({"start": [], "end": []}))
    assert traces(figure)["columns"].text[0] == "position 0<br>no attribution"


def test_colors_are_by_letter(locus):
    found = traces(interactive_logo(locus[0], color={"A": "red", "C": "k", "G": (0, 1, 0, 0.5), "T": "0.5"}))
    assert [found[letter].fillcolor for letter in "ACGT"] == ["#ff0000", "#000000", "rgba(0,255,0,0.5)", "#808080"]


def test_colors_are_by_position(locus):
    X = locus[0]
    numbers = np.arange(120) % 7
    figure = interactive_logo(X, color=numbers, color_cmap="coolwarm", color_vmax=10, start=15, end=100)
    shades = [trace for trace in figure.data if trace.name == "letters"]
    assert len(shades) == 7
    for trace in shades:
        x, y = np.asarray(trace.x), np.asarray(trace.y)
        at = np.unique(np.floor(x[~np.isnan(x)]).astype(int))
        (number,) = set(numbers[at])
        assert trace.fillcolor == to_hex(matplotlib.colormaps["coolwarm"](number / 10))
        assert at.tolist() == [p for p in range(15, 100) if numbers[p] == number and X[:, p].any()]
        for position in at:
            tallest = np.abs(X[:, position]).max()
            here = np.floor(x) == position
            assert np.abs(y[here]).max() == pytest.approx(tallest, rel=1e-3)
    with pytest.raises(InputError, match="8 entries, but `X_attr` 120 positions"):
        interactive_logo(X, color=np.arange(8.0))


def test_without_plotly_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly", None)
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    with pytest.raises(MissingExtra, match=r"pip install 'seqlight\[interactive\]'"):
        interactive_logo(np.eye(4))


def test_plotly_is_loaded_when_it_is_used(python):
    code = "import sys, seqlight.plot.interactive_logo; print('plotly' in sys.modules)"
    done = python("-c", code)
    assert done.stdout.split() == ["False"]
