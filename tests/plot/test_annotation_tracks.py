import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from seqlight.plot.annotation_tracks import Strips
from seqlight.plot.logo import plot_logo

LENGTH = 200
NAMES = ("", "A", "GATA1", "a rather long name of a motif")


def seen(ax, *names):
    """The boxes of visible artists of the names given, in pixels."""
    artists = [one for name in names for one in ax.get_children() if one.get_label() == name and one.get_visible()]
    return [one.get_window_extent() for one in artists]


def overlaps(boxes):
    # A bar of no width is still a bar: shared edges are no overlap.
    pairs = itertools.combinations(boxes, 2)
    return [(a, b) for a, b in pairs if a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1]


def assert_in_order(ax):
    ax.figure.draw_without_rendering()
    bars, labels = seen(ax, "_annotation bar"), seen(ax, "_annotation label")
    note = seen(ax, "_annotation note")
    assert overlaps(bars + labels + note) == []
    left, right = ax.bbox.x0, ax.bbox.x1
    assert all(box.x0 >= left - 1 and box.x1 <= right + 1 for box in labels + note)
    # Between the logo and the axis, which hides none of them.
    axis = min(line.get_window_extent().y1 for line in [ax.spines["bottom"]])
    assert all(axis - 1 <= box.y0 <= box.y1 <= ax.bbox.y0 for box in bars + labels + note)


spans = st.tuples(
    st.integers(0, LENGTH - 1), st.integers(0, 40), st.sampled_from(NAMES), st.floats(-1e6, 1e6, allow_nan=False)
)


def table_of(rows):
    return pd.DataFrame(
        {
            "name": pd.Series([row[2] for row in rows], dtype="str"),
            "start": [row[0] for row in rows],
            "end": [min(row[0] + row[1], LENGTH) for row in rows],
            "score": [row[3] for row in rows],
        }
    )


@settings(max_examples=25)
@given(
    rows=st.lists(spans, max_size=40),
    size=st.tuples(st.floats(3, 14), st.floats(2, 4)),
    n_tracks=st.integers(1, 5),
    spacing=st.floats(0, 20),
    show_extra=st.booleans(),
    layout=st.sampled_from([None, "constrained", "tight"]),
    later=st.tuples(st.floats(3, 14), st.integers(0, 90), st.integers(110, LENGTH)),
)
def test_nothing_ever_overlaps(rows, size, n_tracks, spacing, show_extra, layout, later):
    figure = Figure(figsize=size, layout=layout)
    ax = figure.subplots()
    options = {"n_tracks": n_tracks, "spacing": spacing, "show_extra": show_extra}
    plot_logo(np.eye(4).repeat(LENGTH // 4, axis=1), ax, annotations=table_of(rows), **options)
    assert_in_order(ax)
    # Nor when the figure is made narrower or wider, or a part is looked at.
    figure.set_figwidth(later[0])
    assert_in_order(ax)
    ax.set_xlim(later[1], later[2])
    assert_in_order(ax)


def logo(spans, figsize=(10, 3), **options):
    ax = Figure(figsize=figsize).subplots()
    table = pd.DataFrame(spans, columns=["start", "end"])
    table["score"] = np.arange(len(table)) + 0.25
    return plot_logo(np.eye(4).repeat(LENGTH // 4, axis=1), ax, annotations=table, **options)


def rows_of(ax):
    ax.figure.draw_without_rendering()
    return len({bar.y0 for bar in seen(ax, "_annotation bar")})


def test_rows_follow_the_width():
    ax = logo([(10 + 12 * i, 16 + 12 * i) for i in range(15)])
    assert rows_of(ax) == 1
    below = ax.spines["bottom"].get_position()
    ax.figure.set_figwidth(3)
    assert rows_of(ax) > 1
    assert ax.spines["bottom"].get_position()[1] > below[1]
    ax.figure.set_figwidth(10)
    assert rows_of(ax) == 1
    assert ax.spines["bottom"].get_position() == below


def test_what_is_out_of_sight_is_not_laid_out():
    ax = logo([(10, 16), (100, 106), (180, 190)])
    ax.set_xlim(90, 120)
    ax.figure.draw_without_rendering()
    assert len(seen(ax, "_annotation bar")) == 1
    ax.set_xlim(0, LENGTH)
    ax.figure.draw_without_rendering()
    assert len(seen(ax, "_annotation bar")) == 3


def test_the_axis_may_run_backwards():
    ax = logo([(10, 16), (12, 20), (180, 190)])
    ax.invert_xaxis()
    assert_in_order(ax)
    assert len(seen(ax, "_annotation bar")) == 3
    assert max(box.x0 for box in seen(ax, "_annotation bar")) > ax.bbox.x0 + 0.8 * ax.bbox.width


def test_a_drawing_that_changed_nothing_lays_out_once(monkeypatch):
    ax = logo([(10, 16), (100, 106)])
    (strips,) = (one for one in ax.get_children() if isinstance(one, Strips))
    ax.figure.draw_without_rendering()
    calls = []
    monkeypatch.setattr("seqlight.plot.annotation_tracks.place", lambda *args: calls.append(args))
    ax.figure.draw_without_rendering()
    strips.lay_out()
    assert calls == []


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_every_format_has_them(tmp_path, suffix):
    ax = logo([(10, 16), (12, 20)])
    ax.figure.savefig(tmp_path / f"logo.{suffix}", bbox_inches="tight")
    assert (tmp_path / f"logo.{suffix}").stat().st_size > 1000
