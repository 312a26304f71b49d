import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from seqlight.notebook.small_logo import HEIGHT, LETTERS, TITLE_HEIGHT, WIDTH, outlines, small_logo
from seqlight.plot.glyphs import letter_bottoms, outline_commands


def boxes(logo):
    """Return left, top, right and bottom of each outline, by the colour of its letter."""
    found = {}
    for path, color in re.findall(r'<path d="([^"]*)" fill="([^"]*)"', logo):
        for part in path.split("M")[1:]:
            x, y = np.array(re.findall(r"-?\d+\.\d", part), dtype=float).reshape(-1, 2).T
            found.setdefault(color, []).append((x.min(), y.min(), x.max(), y.max()))
    return found


def test_outlines_are_those_of_the_plots():
    assert set(outlines()) == set("".join(LETTERS.values())) | {"U"}
    for letter, commands in outlines().items():
        expected = outline_commands(letter)
        assert [one[0] for one in commands] == [one[0] for one in expected]
        for one, other in zip(commands, expected, strict=True):
            np.testing.assert_allclose(one[1:], other[1:], atol=0.006)


def test_letters_fill_their_boxes():
    values = np.array([[2.0, 0.0], [0.0, -1.0], [1.0, 0.0], [0.0, 0.0]])
    found = boxes(small_logo(values))
    scale = HEIGHT / 4
    bottoms, zero = letter_bottoms(values), TITLE_HEIGHT + 3 * scale
    for row, column, color in ((0, 0, "#109648"), (1, 1, "#255C99"), (2, 0, "#F7B32B")):
        left, top, right, bottom = np.array(found[color])[:, :4].T
        assert column * WIDTH / 2 < left.min() < right.max() < (column + 1) * WIDTH / 2
        ends = zero - scale * np.array([bottoms[row, column], bottoms[row, column] + values[row, column]])
        assert sorted([top.min(), bottom.max()]) == pytest.approx(sorted(ends), abs=0.2)


def test_the_strongest_part_is_shown():
    values = np.zeros((4, 2114))
    values[2, 1500:1510] = 1
    logo = small_logo(values, "<name>")
    first, last = map(int, re.search(r"positions (\d+) to (\d+) of 2114", logo).groups())
    assert first <= 1500 < 1510 <= last == first + 100
    assert "&lt;name&gt;, positions" in logo
    assert "<name>" not in logo


def test_it_is_small():
    rng = np.random.RandomState(0)
    assert len(small_logo(rng.laplace(size=(4, 2114)))) < 120_000
    one = rng.laplace(size=(4, 2114)) * np.eye(4)[:, rng.randint(0, 4, 2114)]
    assert len(small_logo(one)) < 40_000


@pytest.mark.parametrize("values", [np.zeros((5, 9)), np.zeros((4, 0)), np.full((4, 3), np.nan), np.zeros(4)])
def test_what_cannot_be_drawn_is_left_out(values):
    assert small_logo(values) == ""


@given(
    arrays(np.float64, array_shapes(min_dims=2, max_dims=2, min_side=4, max_side=20), elements=st.floats(-1e300, 1e300))
)
def test_any_numbers_make_a_picture_or_none(values):
    logo = small_logo(values)
    assert logo == "" or (logo.startswith("<svg") and logo.endswith("</svg>"))
    assert "nan" not in logo
    assert "inf" not in logo


def test_nothing_is_loaded_for_it(python):
    code = "import sys, json, numpy as np; from seqlight.notebook.small_logo import small_logo; small_logo(np.eye(4))"
    loaded = json.loads(python("-c", f"{code}; print(json.dumps(sorted(sys.modules)))").stdout)
    assert not {"matplotlib", "pandas", "lightning", "seqlight.plot"} & set(loaded)
