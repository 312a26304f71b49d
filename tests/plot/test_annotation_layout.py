import numpy as np
import pytest
from matplotlib.figure import Figure

from drawn_artists import overlapping_pairs, visible_artists, visible_texts, window_boxes
from seqlight.plot.logo import plot_logo
from toy_attributions import random_attributions, seqlet_table


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("size", "window"), [((12, 2), 150), ((10, 3), 600)])
def test_bars_and_labels_never_overlap(seed, size, window):
    rng = np.random.RandomState(seed)
    starts = rng.randint(0, window - 20, window // 8)
    ends = starts + rng.randint(1, 20, len(starts))
    table = seqlet_table(*zip(starts, ends, rng.normal(size=len(starts)), strict=True))
    table.insert(0, "motif_name", rng.choice(["GATA1", "a long $name", "YY1"], len(table)))
    ax = Figure(figsize=size).subplots()
    plot_logo(random_attributions(window), ax=ax, annotations=table)
    boxes = window_boxes(ax, "_annotation bar", "_annotation label", "_annotation note")
    assert len(boxes) > 20
    assert overlapping_pairs(boxes) == []
    assert all(box.x0 >= ax.bbox.x0 - 1 and box.x1 <= ax.bbox.x1 + 1 for box in boxes)
    tracks = {bar.get_y() for bar in visible_artists(ax, "_annotation bar")}
    assert len(tracks) == 4
    note = visible_texts(ax, "_annotation note")
    missing = len(table) - len(visible_artists(ax, "_annotation bar"))
    assert note == ([f"{missing} more not shown"] if missing else [])
    # Every label stands under a bar of its own.
    labels, bars = window_boxes(ax, "_annotation label"), window_boxes(ax, "_annotation bar")
    for label in labels:
        assert any(bar.x0 < label.x1 and label.x0 < bar.x1 and 0 < bar.y0 - label.y1 < 6 for bar in bars)


def test_overlapping_check_can_fail(ax):
    plot_logo(random_attributions(50), ax=ax, annotations=seqlet_table((5, 10, 1.0)))
    box = window_boxes(ax, "_annotation bar")[0]
    assert len(overlapping_pairs([box, box])) == 1


def test_strongest_annotations_keep_their_labels_where_room_is_short(ax):
    table = seqlet_table(*((10 + shift, 30 + shift, score) for shift, score in enumerate([0.1, -9.0, 0.3, 8.0, 0.2])))
    plot_logo(random_attributions(50), ax=ax, annotations=table, n_tracks=2)
    assert visible_texts(ax, "_annotation label") == ["-9", "8"]
    assert visible_texts(ax, "_annotation note") == ["3 more not shown"]


def test_extra_annotations_can_be_left_out(ax):
    spans = [(10 + shift, 30 + shift, score) for shift, score in enumerate([0.1, -9.0, 0.3, 8.0])]
    table = seqlet_table(*spans, (31, 32, 0.001))
    plot_logo(random_attributions(50), ax=ax, annotations=table, n_tracks=2, show_extra=False)
    assert visible_texts(ax, "_annotation label") == ["-9", "8"]
    assert len(visible_artists(ax, "_annotation bar")) == 2
    assert visible_artists(ax, "_annotation note") == []


@pytest.mark.parametrize(("spacing", "n_rows"), [(0, 1), (4, 1), (60, 2)])
def test_spacing_is_in_points(ax, spacing, n_rows):
    table = seqlet_table((10, 20, 1.0), (24, 34, 2.0))
    plot_logo(random_attributions(60), ax=ax, annotations=table, spacing=spacing)
    assert len({bar.get_y() for bar in visible_artists(ax, "_annotation bar")}) == n_rows
