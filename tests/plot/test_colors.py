"""Most of what colours do is seen in logos, and tested there."""

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import rgb_to_hsv, to_rgba

from seqlight.plot.colors import readable_color

part = st.floats(0, 1)


def contrast_with_white(color):
    """As WCAG 2 defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color[:3]]
    return 1.05 / (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)


@given(st.tuples(part, part, part, part))
def test_text_stands_out_and_dark_colours_stay(color):
    found = readable_color(color)
    assert contrast_with_white(found) >= 4 - 1e-6
    assert found[3] == color[3]
    if contrast_with_white(color) >= 4:
        assert found == color


@pytest.mark.parametrize("name", ["Set1", "Set2", "tab10", "Dark2"])
def test_it_is_still_that_colour(name):
    for color in matplotlib.colormaps[name].colors:
        before, after = (rgb_to_hsv(to_rgba(one)[:3]) for one in (color, readable_color(color)))
        assert min(abs(before[0] - after[0]), 1 - abs(before[0] - after[0])) < 0.05 or before[1] < 0.1
        assert after[2] <= before[2] + 1e-9
    assert np.all(np.array(readable_color("white")) < 1.0001)
