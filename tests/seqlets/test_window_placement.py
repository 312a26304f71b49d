import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlight.errors import InputError
from seqlight.seqlets.window_placement import place_windows

LENGTH = 20
spans = st.lists(st.tuples(st.integers(0, LENGTH - 1), st.integers(1, 8)), max_size=6)


def table(rows):
    starts = np.array([start for start, _ in rows], dtype=np.int64)
    ends = np.minimum(starts + np.array([width for _, width in rows], dtype=np.int64), LENGTH)
    return pd.DataFrame({"example_idx": np.zeros(len(rows), dtype=np.int64), "start": starts, "end": ends, "name": "a"})


@given(spans, st.integers(1, LENGTH))
def test_windows_are_centered(rows, width):
    seqlets = table(rows)
    before = seqlets.copy()
    placed = place_windows(seqlets, LENGTH, width, beyond="zeros")
    assert (placed["end"] - placed["start"] == width).all()
    off = (placed["start"] + placed["end"]) - (seqlets["start"] + seqlets["end"])
    assert off.isin([0, -1]).all()
    inside = (placed["start"] >= 0) & (placed["end"] <= LENGTH)
    pd.testing.assert_frame_equal(place_windows(seqlets, LENGTH, width, "drop"), placed[inside].reset_index(drop=True))
    shifted = place_windows(seqlets, LENGTH, width, beyond="shift")
    assert (shifted["end"] - shifted["start"] == width).all()
    assert shifted["start"].between(0, LENGTH - width).all()
    pd.testing.assert_frame_equal(shifted[inside], placed[inside])
    if inside.all():
        pd.testing.assert_frame_equal(place_windows(seqlets, LENGTH, width), placed)
    else:
        with pytest.raises(InputError, match=f"of row {int(np.argmin(inside))}, .* sticks out"):
            place_windows(seqlets, LENGTH, width)
    pd.testing.assert_frame_equal(seqlets, before)


def test_without_a_width_seqlets_are_the_windows():
    seqlets = table([(0, 8), (17, 3)])
    pd.testing.assert_frame_equal(place_windows(seqlets, LENGTH), seqlets)


def test_invalid_arguments():
    with pytest.raises(InputError, match="sticks out of examples of 20"):
        place_windows(table([(3, 2)]), LENGTH, 21, "shift")
    with pytest.raises(InputError, match="beyond is 'wrap'"):
        place_windows(table([]), LENGTH, 3, "wrap")
    with pytest.raises(InputError, match="width is 0"):
        place_windows(table([]), LENGTH, 0)
