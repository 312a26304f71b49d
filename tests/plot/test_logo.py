import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from drawn_artists import visible_artists, visible_texts, window_boxes
from seqlight.errors import InputError
from seqlight.plot.logo import plot_logo
from toy_attributions import random_attributions, seqlet_table


def letter_boxes(ax, letter):
    """(left, bottom, right, top) of each occurrence, in data units."""
    (collection,) = visible_artists(ax, f"_letter {letter}")
    (path,) = collection.get_paths()
    begins = np.flatnonzero(path.codes == path.MOVETO)
    n_outlines = {"A": 2}.get(letter, 1)
    parts = np.split(path.vertices, begins[n_outlines::n_outlines])
    # The closing vertex of an outline is a placeholder in some fonts, so it is left out.
    return [(*part[:-1].min(axis=0), *part[:-1].max(axis=0)) for part in parts]


def test_letters_are_as_tall_as_their_values_and_stacked_by_size(ax):
    X = np.array([[3.0, -1.0, 0.0], [1.0, 0.0, 0.0], [2.0, -4.0, 0.0], [-2.0, 0.5, 0.0]])
    assert plot_logo(X, ax=ax) is ax
    heights = {letter: [box[1::2] for box in letter_boxes(ax, letter)] for letter in "ACGT"}
    assert heights["A"] == [pytest.approx((3, 6)), pytest.approx((-1, 0))]
    assert heights["C"] == [pytest.approx((0, 1))]
    assert heights["G"] == [pytest.approx((1, 3)), pytest.approx((-5, -1))]
    assert heights["T"] == [pytest.approx((-2, 0)), pytest.approx((0, 0.5))]
    low, high = ax.get_ylim()
    assert low < -5 < 6 < high
    assert high - low < 13


def test_letters_below_zero_hang_upside_down(ax):
    plot_logo(np.array([[1.0, -1.0], [0, 0], [0, 0], [0, 0]]), ax=ax)
    (path,) = visible_artists(ax, "_letter A")[0].get_paths()
    up, down = np.split(path.vertices[:, 1], 2)
    np.testing.assert_allclose(down, -up)


@pytest.mark.parametrize(("start", "end", "limits"), [(None, None, (0, 60)), (20, 50, (20, 50)), (45, None, (45, 60))])
def test_window_keeps_the_positions(ax, start, end, limits):
    X = random_attributions(60)
    plot_logo(torch.from_numpy(X).float().requires_grad_(), ax=ax, start=start, end=end)
    assert ax.get_xlim() == limits
    for letter, row in zip("ACGT", X, strict=True):
        at = [p for p in np.flatnonzero(row) if limits[0] <= p < limits[1]]
        boxes = letter_boxes(ax, letter)
        assert [int(box[0]) for box in boxes] == at
        assert all(p < box[0] < box[2] < p + 1 for p, box in zip(at, boxes, strict=True))


def test_tutorial_call_and_limits_set_afterwards(current_ax):
    X = random_attributions()
    table = seqlet_table((1578, 1583, -0.02), (1033, 1039, 0.4463), (932, 937, -0.0208), (920, 930, 0.3))
    plot_logo(X, ax=current_ax, start=925, end=1100, annotations=table, score_key="attribution")
    before = [box.extents for box in window_boxes(current_ax, "_annotation bar", "_annotation label")]
    plt.ylim(-0.025, 0.25)
    plt.xlabel("Genomic Coordinate")
    after = window_boxes(current_ax, "_annotation bar", "_annotation label")
    np.testing.assert_allclose([box.extents for box in after], before)
    assert current_ax.get_xlim() == (925, 1100)
    assert visible_texts(current_ax, "_annotation label") == ["0.446", "-0.0208"]
    bars = {bar.get_x(): bar.get_width() for bar in visible_artists(current_ax, "_annotation bar")}
    assert bars == {1033: 6, 932: 5}
    # Between the logo and the numbers on the x axis.
    assert max(box.y1 for box in after) < current_ax.bbox.y0
    numbers = [label.get_window_extent() for label in current_ax.get_xticklabels() if label.get_text()]
    assert min(box.y0 for box in after) > max(box.y1 for box in numbers)
    assert current_ax.xaxis.label.get_window_extent().y1 < min(box.y1 for box in numbers)


def test_low_letters_can_be_left_out(ax):
    X = np.array([[1.0, 0.09, 0.0], [0.05, 0.0, 0.0], [0.0, 0.0, -0.1], [0.0, 0.0, 5.0]])
    plot_logo(X, ax=ax, end=2, min_height_pct=0.09)
    assert len(letter_boxes(ax, "A")) == 2
    assert visible_artists(ax, "_letter C") == []


@pytest.mark.parametrize(("ylim", "expected"), [((-1, 2), (-1, 2)), (3, (-3, 3)), (None, (-1, 1))])
def test_limits(ax, ylim, expected):
    plot_logo(np.zeros((4, 9)), ax=ax, ylim=ylim)
    assert ax.get_ylim() == expected


@pytest.mark.parametrize(
    ("X", "options", "message"),
    [
        (np.zeros((1, 4, 9)), {}, r"`X_attr\[0\]`"),
        (np.zeros((9, 4)), {}, r"\(9, 4\), but a logo needs \(4, length\)"),
        (np.zeros((4, 0)), {}, "no positions"),
        (np.full((4, 9), np.nan), {}, "9 positions"),
        (np.zeros((4, 9)), {"start": -1}, "`start` is -1"),
        (np.zeros((4, 9)), {"end": 10}, "`end` 10"),
        (np.zeros((4, 9)), {"start": 5, "end": 5}, "`start` is 5 and `end` 5"),
        (np.zeros((4, 9)), {"color": {"A": "r", "C": "b"}}, "no colour for G, T"),
        (np.zeros((4, 9)), {"color": "no such"}, "no colour for A, C, G, T"),
        (np.zeros((4, 9)), {"alphabet": ("A", "C", "G", "TT")}, "'TT'"),
        (np.zeros((4, 9)), {"annotations": seqlet_table((1, 2, 3.0)), "score_key": "p"}, "no column 'p'"),
        (np.zeros((4, 9)), {"annotations": seqlet_table((1, 2, 3.0))[["start"]]}, "no column 'end'"),
        (np.zeros((4, 9)), {"annotations": seqlet_table((1, 2, 3.0)), "n_tracks": 0}, "`n_tracks` is 0"),
        (np.zeros((4, 9)), {"annotations": seqlet_table((1, 2, 3.0)), "n_tracks": 2.5}, "`n_tracks` is 2.5"),
        (np.zeros((4, 9)), {"annotations": seqlet_table((1, 2, 3.0)), "spacing": "wide"}, "`spacing` is 'wide'"),
        (np.zeros((4, 9)), {"annotations": seqlet_table((1, 2, 3.0)), "example_idx": "0"}, "example_idx is '0'"),
        (None, {}, "`X_attr` is None"),
        (np.zeros((4, 9), dtype=complex), {}, "`X_attr` is an ndarray of complex128"),
        (torch.zeros(4, 9, dtype=torch.complex64), {}, "complex64, but real numbers"),
        (torch.zeros(4, 9, device="meta"), {}, "no dense tensor"),
        (torch.zeros(4, 9).to_sparse(), {}, "no dense tensor"),
        (np.zeros((4, 9)), {"alphabet": 4}, "`alphabet` is 4"),
        (np.zeros((4, 9)), {"min_height_pct": "10%"}, "`min_height_pct` is '10%'"),
        (np.zeros((4, 9)), {"color": np.arange(9), "color_vmin": 3, "color_vmax": 1}, "`color_vmin` is 3"),
        (np.zeros((4, 9)), {"color": np.arange(9), "color_vmax": "1"}, "`color_vmax` '1'"),
        (np.zeros((10, 4)).tolist(), {}, r"transpose, `X_attr.T`"),
        (np.zeros(9), {}, "sums over letters"),
        ([["a"] * 9] * 4, {}, "type list and does not hold numbers"),
        ([[1.0], [2.0, 3.0], [1.0], [1.0]], {}, "rows of one length"),
        ({"A": 1}, {}, "type dict"),
        (np.zeros((4, 9)), {"start": 1.5}, "whole numbers"),
        (np.zeros((4, 9)), {"end": "5"}, "whole numbers"),
        (np.zeros((4, 9)), {"ylim": (1, 0)}, "lower limit"),
        (np.zeros((4, 9)), {"ylim": (1, 2, 3)}, "one number or two"),
        (np.zeros((4, 9)), {"ylim": "big"}, "one number or two"),
        (np.zeros((4, 9)), {"alphabet": ("A", "C", "G", 7)}, "holds 7"),
        (np.zeros((4, 9)), {"color": np.arange(8.0)}, "8 entries, but `X_attr` 9 positions"),
        (np.zeros((4, 9)), {"color": np.full(9, np.nan)}, "NaN or infinity"),
        (np.zeros((4, 9)), {"color": ["red"] * 8 + ["no such"]}, "does not know"),
        (np.zeros((4, 9)), {"color": 7}, "neither a colour"),
        (np.zeros((4, 9)), {"color": np.arange(9), "color_cmap": "no such"}, "`color_cmap` is 'no such'"),
        (np.zeros((4, 9)), {"min_height_pct": 2}, "`min_height_pct` is 2"),
        (np.zeros((4, 9)), {"annotations": [(1, 2)]}, "type list, but a pandas.DataFrame"),
        (np.zeros((4, 9)), {"annotations": {"start": [1]}}, "type dict, but a pandas.DataFrame"),
        (np.zeros((4, 9)), {"annotations": seqlet_table((1, 2, "high"))}, "'attribution'.*does not hold numbers"),
        (np.zeros((4, 9)), {"annotations": seqlet_table((1, np.nan, 3.0))}, "'end'.*NaN"),
        (np.zeros((4, 9)), {"annotations": seqlet_table((4, 2, 3.0))}, "end before they start"),
        (np.zeros((4, 9)), {"annotations": seqlet_table((1, 2, 3.0)), "spacing": -1}, "`spacing` is -1"),
        (np.zeros((4, 9)), {"annotations": seqlet_table((1, 2, 3.0)), "annot_cmap": "no such"}, "`annot_cmap`"),
        (np.zeros((4, 9)), {"annotations": seqlet_table((1, 2, 3.0)), "annot_cmap": ["no such"]}, "`annot_cmap`"),
        (np.zeros((4, 9)), {"annotations": seqlet_table((1, 2, 3.0)), "annot_cmap": []}, "`annot_cmap`"),
        (
            np.zeros((4, 9)),
            {"annotations": seqlet_table((1, 2, 3.0))[["start", "end"]], "example_idx": 1},
            "leave it out",
        ),
    ],
)
def test_invalid_input_is_refused_and_nothing_is_drawn(ax, X, options, message):
    before = len(ax.get_children())
    with pytest.raises(InputError, match=message):
        plot_logo(X, ax=ax, **options)
    assert len(ax.get_children()) == before


def test_input_is_not_changed(ax):
    X, table = random_attributions(60), seqlet_table((5, 10, 1.0))
    kept, kept_table = X.copy(), table.copy()
    plot_logo(X, ax=ax, annotations=table)
    assert np.array_equal(X, kept)
    pd.testing.assert_frame_equal(table, kept_table)


def test_a_long_logo_is_four_artists(ax):
    before = len(ax.collections)
    plot_logo(random_attributions(), ax=ax)
    assert len(ax.collections) - before == 4


def test_ids_in_an_svg_are_unique(ax, tmp_path):
    plot_logo(random_attributions(60), ax=ax, annotations=seqlet_table((5, 10, 1.0), (20, 30, 2.0)))
    ax.figure.savefig(tmp_path / "logo.svg")
    ids = [part.split('"')[0] for part in (tmp_path / "logo.svg").read_text().split(' id="')[1:]]
    assert len(ids) == len(set(ids)) > 10


def test_2000_positions_take_less_than_a_tenth_of_a_second():
    """Drawing and rendering: the least processor time of up to 20, since the machine may be shared."""
    X = np.random.RandomState(0).laplace(size=(4, 2000))

    def seconds():
        figure = Figure(figsize=(12, 2))
        canvas = FigureCanvasAgg(figure)
        figure.add_subplot()
        start = time.process_time()
        plot_logo(X, figure.axes[0])
        canvas.draw()
        return time.process_time() - start

    assert any(seconds() < 0.1 for _ in range(20))
