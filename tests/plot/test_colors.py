import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import rgb_to_hsv, to_rgba

from drawn_artists import visible_artists
from seqlight.plot.colors import letter_colors, readable_color
from seqlight.plot.logo import plot_logo
from seqlight.sequence.alphabets import PROTEIN
from toy_attributions import random_attributions, seqlet_table

part = st.floats(0, 1)


def contrast_with_white(color):
    """As WCAG 2 defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color[:3]]
    return 1.05 / (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)


@given(st.tuples(part, part, part, part))
def test_text_has_contrast_and_dark_colours_stay(color):
    found = readable_color(color)
    assert contrast_with_white(found) >= 4 - 1e-6
    assert found[3] == color[3]
    if contrast_with_white(color) >= 4:
        assert found == color


@pytest.mark.parametrize("name", ["Set1", "Set2", "tab10", "Dark2"])
def test_the_hue_is_kept(name):
    for color in matplotlib.colormaps[name].colors:
        before, after = (rgb_to_hsv(to_rgba(one)[:3]) for one in (color, readable_color(color)))
        assert min(abs(before[0] - after[0]), 1 - abs(before[0] - after[0])) < 0.05 or before[1] < 0.1
        assert after[2] <= before[2] + 1e-9
    assert np.all(np.array(readable_color("white")) < 1.0001)


@pytest.mark.parametrize(
    ("color", "expected"),
    [
        ("black", dict.fromkeys("ACGT", "black")),
        ((0.1, 0.2, 0.3), dict.fromkeys("ACGT", (0.1, 0.2, 0.3))),
        ({"A": "1", "C": "r", "G": "g", "T": "0.5"}, {"A": "1", "C": "r", "G": "g", "T": "0.5"}),
    ],
)
def test_colours(ax, color, expected):
    plot_logo(np.eye(4), ax=ax, color=color)
    for letter, wanted in expected.items():
        assert tuple(visible_artists(ax, f"_letter {letter}")[0].get_facecolor()[0]) == to_rgba(wanted)


def column_colors(ax):
    """The colour of each letter by the position it is at."""
    found = {}
    for letter in "ACGT":
        for collection in visible_artists(ax, f"_letter {letter}"):
            for path, color in zip(collection.get_paths(), collection.get_facecolor(), strict=True):
                for x in path.vertices[path.codes == path.MOVETO, 0]:
                    found[int(x)] = tuple(color)
    return found


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor, pd.Series])
def test_numbers_by_position_become_colours(ax, kind):
    X, numbers = random_attributions(60), np.linspace(-1, 2, 60)
    plot_logo(X, ax=ax, color=kind(numbers), color_cmap="coolwarm", color_vmax=1.0, start=10, end=50)
    expected = matplotlib.colormaps["coolwarm"]((numbers + 1) / 2)
    found = column_colors(ax)
    assert sorted(found) == list(range(10, 50))
    for position, color in found.items():
        np.testing.assert_allclose(color, expected[position])


@pytest.mark.parametrize(
    "colors",
    [["red", "0.5", "#00ff00", (0, 0, 1)], np.array([[1, 0, 0], [0.5] * 3, [0, 1, 0], [0, 0, 1]]), list("rkgb")],
)
def test_colours_by_position(ax, colors):
    plot_logo(np.eye(4), ax=ax, color=colors)
    found = column_colors(ax)
    assert found == {position: to_rgba(colors[position]) for position in range(4)}


def test_colours_by_position_are_still_few_artists(ax):
    plot_logo(random_attributions(), ax=ax, color=np.arange(2000.0))
    assert len(ax.collections) == 4


def test_default_colours_are_those_of_the_field(ax):
    plot_logo(np.eye(5), ax=ax, alphabet="ACGTN")
    seen = {letter: visible_artists(ax, f"_letter {letter}")[0].get_facecolor()[0][:3] for letter in "ACGTN"}
    assert np.argmax(seen["A"]) == 1
    assert np.argmax(seen["C"]) == 2
    assert np.argmax(seen["T"]) == 0
    assert seen["G"][0] > seen["G"][1] > seen["G"][2]
    assert len(set(seen["N"])) == 1


def test_amino_acids_have_the_colours_of_their_chemistry():
    letters = PROTEIN.letters
    found = dict(zip(letters, map(tuple, letter_colors(None, letters, 3)[:, 0]), strict=True))
    assert len(set(found.values())) == 5
    for group in ("CGSTY", "NQ", "HKR", "DE", "AFILMPVW"):
        assert len({found[letter] for letter in group}) == 1
    # A gap is none of them; a few of the letters are bases.
    assert tuple(letter_colors(None, letters + "-", 3)[-1, 0]) == to_rgba("0.4")
    assert tuple(letter_colors(None, "ACGT", 3)[3, 0]) == to_rgba("#D62839")


@pytest.mark.parametrize("cmap", ["Set1", matplotlib.colormaps["Set1"], ["red", (0, 0, 1)], "viridis", None])
def test_rows_of_annotations_have_colours(ax, cmap):
    table = seqlet_table((10, 30, 1.0), (15, 35, 2.0), (20, 40, 3.0))
    plot_logo(random_attributions(60), ax=ax, annotations=table, annot_cmap=cmap)
    bars, labels = visible_artists(ax, "_annotation bar"), visible_artists(ax, "_annotation label")
    colors = [bar.get_facecolor() for bar in bars]
    assert len(set(colors)) == {type(None): 1, list: 2}.get(type(cmap), 3)
    if cmap is not None:
        assert [to_rgba(label.get_color()) for label in labels] == [readable_color(color) for color in colors]
    if isinstance(cmap, list):
        assert colors == [to_rgba("red"), to_rgba("blue"), to_rgba("red")]
