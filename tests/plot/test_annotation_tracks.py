import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from drawn_artists import overlapping_pairs, visible_artists, window_boxes
from seqlight.plot.annotation_tracks import AnnotationArtist
from seqlight.plot.logo import plot_logo

LENGTH = 200
NAMES = ("", "A", "GATA1", "a rather long name of a motif")


def assert_in_order(ax):
    ax.figure.draw_without_rendering()
    artists = (visible_artists(ax, f"_annotation {kind}") for kind in ("bar", "label", "note"))
    bars, labels, note = ([one.get_window_extent() for one in kind] for kind in artists)
    assert overlapping_pairs(bars + labels + note) == []
    left, right = ax.bbox.x0, ax.bbox.x1
    assert all(box.x0 >= left - 1 and box.x1 <= right + 1 for box in labels + note)
    # They lie between the logo and the x axis, which covers none of them.
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
    # Nor after the width of the figure changes, or when only a part is shown.
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
    return len({bar.y0 for bar in window_boxes(ax, "_annotation bar")})


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


def test_annotations_outside_the_limits_are_not_laid_out():
    ax = logo([(10, 16), (100, 106), (180, 190)])
    ax.set_xlim(90, 120)
    assert len(window_boxes(ax, "_annotation bar")) == 1
    ax.set_xlim(0, LENGTH)
    assert len(window_boxes(ax, "_annotation bar")) == 3


def test_the_x_axis_may_run_backwards():
    ax = logo([(10, 16), (12, 20), (180, 190)])
    ax.invert_xaxis()
    assert_in_order(ax)
    assert len(window_boxes(ax, "_annotation bar")) == 3
    assert max(box.x0 for box in window_boxes(ax, "_annotation bar")) > ax.bbox.x0 + 0.8 * ax.bbox.width


def test_redrawing_without_changes_does_not_repeat_the_layout(monkeypatch):
    ax = logo([(10, 16), (100, 106)])
    (artist,) = (one for one in ax.get_children() if isinstance(one, AnnotationArtist))
    ax.figure.draw_without_rendering()
    calls = []
    monkeypatch.setattr("seqlight.plot.annotation_tracks.assign_rows", lambda *args: calls.append(args))
    ax.figure.draw_without_rendering()
    artist.lay_out()
    assert calls == []


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_every_file_format_can_be_saved(tmp_path, suffix):
    ax = logo([(10, 16), (12, 20)])
    ax.figure.savefig(tmp_path / f"logo.{suffix}", bbox_inches="tight")
    assert (tmp_path / f"logo.{suffix}").stat().st_size > 1000
