import itertools
import time

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.colors import to_hex

from logo_script import run_script, shades, unpacked
from seqlight.errors import InputError
from seqlight.plot.glyphs import letter_bottoms
from seqlight.plot.interactive_logo import interactive_logo


def outlines(path):
    """Return the points of each closed part of a path that the script made, x and y."""
    parts = []
    for part in path.split("Z"):
        numbers = part.replace("M", " ").replace("L", " ").replace("Q", " ").replace("C", " ").split()
        if numbers:
            parts.append(np.array(numbers, dtype=float).reshape(-1, 2))
    return parts


def test_letters_fill_their_boxes(locus):
    X = locus[0]
    logo = interactive_logo(torch.from_numpy(X).requires_grad_(), start=20, end=90)
    np.testing.assert_allclose(unpacked(logo), X[:, 20:90], rtol=1e-6)
    low, high = logo.content["low"], logo.content["high"]
    paths = run_script("script.letterPaths(logo, columns)", logo)
    for letter, row, path in zip("ACGT", X, paths, strict=True):
        boxes = {}
        for part in outlines(path):
            x, y = part[:, 0] + 20, high - (high - low) * part[:, 1] / 1000
            boxes.setdefault(int(x.min()), []).append((x, y))
        assert sorted(boxes) == [p for p in np.flatnonzero(row) if 20 <= p < 90], letter
        for position, drawn in boxes.items():
            x, y = (np.concatenate(one) for one in zip(*drawn, strict=True))
            assert position < x.min() < x.max() < position + 1
            assert y[np.abs(y).argmax()] == pytest.approx(row[position], abs=2e-5)
            assert np.abs(y).min() == pytest.approx(0, abs=2e-5)


def test_a_hole_is_not_filled():
    """The line around the hole of an A turns the other way, so that it is outside by the rule of SVG."""
    (commands,) = interactive_logo(np.eye(1), alphabet="A").content["outlines"]
    ends = [index for index, one in enumerate(commands) if one[0] == "Z"]
    assert len(ends) == 2
    areas = []
    for part in (commands[: ends[0]], commands[ends[0] + 1 : ends[1]]):
        x, y = np.array([one[-2:] for one in part]).T
        areas.append(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)
    assert areas[0] * areas[1] < 0
    assert 0.3 < abs(sum(areas)) < 0.6


@pytest.mark.parametrize("n_letters", [4, 20])
def test_the_script_stacks_letters_as_matplotlib_does(n_letters):
    X = np.random.RandomState(0).laplace(size=(n_letters, 30)) * (np.random.RandomState(1).rand(n_letters, 30) < 0.7)
    columns = run_script("columns", interactive_logo(X, alphabet="ACDEFGHIKLMNPQRSTVWY"[:n_letters]))
    bottoms = letter_bottoms(X)
    for position, column in enumerate(columns):
        assert {one["letter"] for one in column} == set(np.flatnonzero(X[:, position]))
        for one in column:
            assert one["height"] == pytest.approx(X[one["letter"], position], rel=1e-6)
            assert one["bottom"] == pytest.approx(bottoms[one["letter"], position], abs=1e-6)


@settings(deadline=None, max_examples=50)
@given(arrays(np.float64, (4, 7), elements=st.floats(-1e6, 1e6, width=32)), st.sampled_from([1e-200, 1.0, 1e200]))
def test_heights_of_any_size_are_kept(X, scale):
    found = unpacked(interactive_logo(X * scale))
    np.testing.assert_allclose(found, X * scale, rtol=1e-6, atol=1e-30 * scale)


def test_what_the_pointer_shows(locus):
    X, seqlets, motifs = locus

    def texts(logo, *positions):
        return run_script(f"{list(positions)}.map((at) => script.describe(logo, columns, at))", logo)

    first, second, third = texts(interactive_logo(X, annotations=seqlets), 32, 70, 0)
    assert first[0] == "position 32"
    assert first[1].startswith("A +")
    assert float(first[1][2:]) == pytest.approx(X[0, 32], rel=5e-4)
    assert first[2] == f"seqlet 29 to 38, {seqlets['attribution'][0]:+.4g}"
    assert sum("seqlet" in line for line in second) == 2
    assert len(third) == 2
    named = interactive_logo(X, annotations=motifs)
    assert "GATA1 70 to 76, +8.1" in [one["text"] for one in named.content["annotations"]]
    hypothetical = np.array([[0.0, -3.0], [1.0, 0], [2.0, 0], [0, 0]])
    assert texts(interactive_logo(hypothetical), 0) == [["position 0", "G +2", "C +1"]]
    assert texts(interactive_logo(np.zeros((4, 3))), 0) == [["position 0", "no attribution"]]
    # A window keeps the numbers of its positions.
    assert texts(interactive_logo(X, start=30, end=40), 32)[0][0] == "position 32"


@pytest.mark.parametrize(("strand", "base"), [("+", 1000), ("-", 1119)])
def test_genome_coordinates(locus, strand, base):
    X, seqlets, _ = locus
    logo = interactive_logo(X, annotations=seqlets, locus=("chr8", 1000, 1120, strand))
    found = run_script("[script.describe(logo, columns, 0), [0, 120].map((at) => script.coordinate(logo, at))]", logo)
    assert found[0][1] == f"chr8:{base:,}"
    assert found[1] == ([1000, 1120] if strand == "+" else [1120, 1000])
    assert logo.content["axis"].startswith("position on chr8")


def test_ticks_are_round_and_few():
    code = "[[0, 120], [127735433, 127735553], [3, 9.5]].map(([a, b]) => script.ticks(a, b, 6, true).at)"
    short, genome, few = run_script(code, interactive_logo(np.eye(4)))
    assert short == [0, 20, 40, 60, 80, 100, 120]
    assert genome == list(range(127735440, 127735553, 20))
    assert few == [4, 6, 8]
    at, digits = run_script("Object.values(script.ticks(-0.11, 0.31, 5, false))", interactive_logo(np.eye(4)))
    assert at == pytest.approx([-0.1, 0, 0.1, 0.2, 0.3])
    assert digits == 1


def test_the_view_stays_inside():
    logo = interactive_logo(np.eye(4).repeat(25, axis=1), start=10, end=90)
    code = """[script.clampView(logo, -5, 30), script.clampView(logo, 80, 120), script.clampView(logo, 0, 500),
               script.zoomed(logo, [10, 90], 0.5, 50), script.zoomed(logo, [40, 44], 0.1, 42),
               script.zoomed(logo, [30, 70], 1e9, 42)]"""
    left, right, whole, half, least, most = run_script(code, logo)
    assert (left, right, whole) == ([10, 45], [50, 90], [10, 90])
    assert (half, most) == ([30, 70], [10, 90])
    assert least[1] - least[0] == 8


def test_a_view_is_shown_first(locus):
    assert interactive_logo(locus[0]).content["view"] == [0, 120]
    assert interactive_logo(locus[0], view=(30, 60)).content["view"] == [30, 60]
    with pytest.raises(InputError, match="the length, must hold"):
        interactive_logo(locus[0], view=(30, 160))


def test_bars_do_not_overlap():
    rng = np.random.RandomState(0)
    starts = rng.randint(0, 180, 60)
    table = pd.DataFrame({"start": starts, "end": starts + rng.randint(0, 20, 60)})
    content = interactive_logo(np.eye(4).repeat(50, axis=1), annotations=table).content
    rows = [one["row"] for one in content["annotations"]]
    assert set(rows) == set(range(content["rows"]))
    for row in set(rows):
        spans = sorted((one["start"], one["end"]) for one in content["annotations"] if one["row"] == row)
        assert all(one[1] < other[0] for one, other in itertools.pairwise(spans))


def test_2000_positions_are_fast():
    X = np.random.RandomState(0).laplace(size=(4, 2000))
    start = time.perf_counter()
    logo = interactive_logo(X)
    assert time.perf_counter() - start < 2
    assert len(logo.to_html(script=False)) < 80_000


def test_nothing_to_draw():
    logo = interactive_logo(np.zeros((4, 3)), annotations=pd.DataFrame({"start": [], "end": []}))
    assert (unpacked(logo) == 0).all()
    assert (logo.content["rows"], logo.content["annotations"]) == (0, [])


def test_colors_are_by_letter(locus):
    logo = interactive_logo(locus[0], color={"A": "red", "C": "k", "G": (0, 1, 0, 0.5), "T": "0.5"})
    assert logo.content["colors"] == ["#ff0000", "#000000", "rgba(0,255,0,0.5)", "#808080"]


def test_colors_are_by_position(locus):
    X = locus[0]
    numbers = np.arange(120) % 7
    logo = interactive_logo(X, color=numbers, color_cmap="coolwarm", color_vmax=10, start=15, end=100)
    assert len(logo.content["colors"]) == 7
    expected = [to_hex(matplotlib.colormaps["coolwarm"](number / 10)) for number in numbers[15:100]]
    assert shades(logo).tolist() == expected
    columns = run_script("columns", logo)
    drawn = [logo.content["colors"][one["shade"]] for column in columns for one in column]
    assert drawn == [expected[i] for i in range(85) if X[:, 15 + i].any()]
    with pytest.raises(InputError, match="8 entries, but `X_attr` 120 positions"):
        interactive_logo(X, color=np.arange(8.0))


def test_it_says_what_it_shows_to_those_who_do_not_see_it(locus):
    summary = interactive_logo(locus[0], start=20, end=60, title="a locus").content["summary"]
    tallest = int(locus[0][:, 20:60].max(axis=0).argmax()) + 20
    assert summary.startswith("a locus: logo of the attributions of positions 20 to 60; the largest is +0.")
    assert summary.endswith(f"at position {tallest}")
