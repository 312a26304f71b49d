import time

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from drawn_artists import overlapping_pairs, visible_artists, visible_texts, window_boxes
from seqlight.errors import InputError
from seqlight.plot.colors import readable_color
from seqlight.plot.logo import plot_logo


@pytest.fixture
def ax():
    return Figure(figsize=(12, 2)).subplots()


@pytest.fixture
def current_ax():
    plt.figure(figsize=(12, 2))
    yield plt.subplot(111)
    plt.close("all")


def projected(length=2000, seed=0):
    rng = np.random.RandomState(seed)
    X = np.zeros((4, length))
    X[rng.randint(0, 4, length), np.arange(length)] = rng.laplace(size=length)
    return X


def seqlets(*spans, **columns):
    starts, ends, sums = zip(*spans, strict=True)
    return pd.DataFrame({"example_idx": 0, "start": starts, "end": ends, "attribution": sums} | columns)


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
    X = projected(60)
    plot_logo(torch.from_numpy(X).float().requires_grad_(), ax=ax, start=start, end=end)
    assert ax.get_xlim() == limits
    for letter, row in zip("ACGT", X, strict=True):
        at = [p for p in np.flatnonzero(row) if limits[0] <= p < limits[1]]
        boxes = letter_boxes(ax, letter)
        assert [int(box[0]) for box in boxes] == at
        assert all(p < box[0] < box[2] < p + 1 for p, box in zip(at, boxes, strict=True))


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
    X, numbers = projected(60), np.linspace(-1, 2, 60)
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
    plot_logo(projected(), ax=ax, color=np.arange(2000.0))
    assert len(ax.collections) == 4


def test_default_colours_are_those_of_the_field(ax):
    plot_logo(np.eye(5), ax=ax, alphabet="ACGTN")
    seen = {letter: visible_artists(ax, f"_letter {letter}")[0].get_facecolor()[0][:3] for letter in "ACGTN"}
    assert np.argmax(seen["A"]) == 1
    assert np.argmax(seen["C"]) == 2
    assert np.argmax(seen["T"]) == 0
    assert seen["G"][0] > seen["G"][1] > seen["G"][2]
    assert len(set(seen["N"])) == 1


def test_tutorial_call_and_limits_set_afterwards(current_ax):
    X = projected()
    table = seqlets((1578, 1583, -0.02), (1033, 1039, 0.4463), (932, 937, -0.0208), (920, 930, 0.3))
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


def test_current_axes_are_the_default(current_ax):
    assert plot_logo(np.eye(4)) is current_ax


@pytest.mark.parametrize("n_cols", [1, 2])
def test_axes_are_named_at_the_edges_of_a_grid(n_cols):
    axes = Figure().subplots(2, n_cols, squeeze=False)
    for one in axes.flat:
        plot_logo(np.eye(4), one)
    assert [one.get_xlabel() for one in axes.flat] == [""] * n_cols + ["position"] * n_cols
    assert [one.get_ylabel() for one in axes.flat] == (["attribution"] + [""] * (n_cols - 1)) * 2


def test_names_that_axes_have_are_kept(ax):
    ax.set(xlabel="here", ylabel="there")
    plot_logo(np.eye(4), ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("here", "there")


def test_no_pyplot_where_axes_are_given(python):
    code = (
        "import sys, numpy as np; from matplotlib.figure import Figure\n"
        "from seqlight.plot.logo import plot_logo\n"
        "plot_logo(np.eye(4), Figure().subplots())\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = python("-c", code)
    assert done.stdout.split() == ["False"]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("size", "window"), [((12, 2), 150), ((10, 3), 600)])
def test_bars_and_labels_never_overlap(seed, size, window):
    rng = np.random.RandomState(seed)
    starts = rng.randint(0, window - 20, window // 8)
    ends = starts + rng.randint(1, 20, len(starts))
    table = seqlets(*zip(starts, ends, rng.normal(size=len(starts)), strict=True))
    table.insert(0, "motif_name", rng.choice(["GATA1", "a long $name", "YY1"], len(table)))
    ax = Figure(figsize=size).subplots()
    plot_logo(projected(window), ax=ax, annotations=table)
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
    plot_logo(projected(50), ax=ax, annotations=seqlets((5, 10, 1.0)))
    box = window_boxes(ax, "_annotation bar")[0]
    assert len(overlapping_pairs([box, box])) == 1


def test_strongest_annotations_keep_their_labels_where_room_is_short(ax):
    table = seqlets(*((10 + shift, 30 + shift, score) for shift, score in enumerate([0.1, -9.0, 0.3, 8.0, 0.2])))
    plot_logo(projected(50), ax=ax, annotations=table, n_tracks=2)
    assert visible_texts(ax, "_annotation label") == ["-9", "8"]
    assert visible_texts(ax, "_annotation note") == ["3 more not shown"]


def test_extra_annotations_can_be_left_out(ax):
    spans = [(10 + shift, 30 + shift, score) for shift, score in enumerate([0.1, -9.0, 0.3, 8.0])]
    plot_logo(projected(50), ax=ax, annotations=seqlets(*spans, (31, 32, 0.001)), n_tracks=2, show_extra=False)
    assert visible_texts(ax, "_annotation label") == ["-9", "8"]
    assert len(visible_artists(ax, "_annotation bar")) == 2
    assert visible_artists(ax, "_annotation note") == []


@pytest.mark.parametrize(("spacing", "n_rows"), [(0, 1), (4, 1), (60, 2)])
def test_spacing_is_in_points(ax, spacing, n_rows):
    table = seqlets((10, 20, 1.0), (24, 34, 2.0))
    plot_logo(projected(60), ax=ax, annotations=table, spacing=spacing)
    assert len({bar.get_y() for bar in visible_artists(ax, "_annotation bar")}) == n_rows


@pytest.mark.parametrize("cmap", ["Set1", matplotlib.colormaps["Set1"], ["red", (0, 0, 1)], "viridis", None])
def test_rows_of_annotations_have_colours(ax, cmap):
    table = seqlets((10, 30, 1.0), (15, 35, 2.0), (20, 40, 3.0))
    plot_logo(projected(60), ax=ax, annotations=table, annot_cmap=cmap)
    bars, labels = visible_artists(ax, "_annotation bar"), visible_artists(ax, "_annotation label")
    colors = [bar.get_facecolor() for bar in bars]
    assert len(set(colors)) == {type(None): 1, list: 2}.get(type(cmap), 3)
    if cmap is not None:
        assert [to_rgba(label.get_color()) for label in labels] == [readable_color(color) for color in colors]
    if isinstance(cmap, list):
        assert colors == [to_rgba("red"), to_rgba("blue"), to_rgba("red")]


def test_low_letters_can_be_left_out(ax):
    X = np.array([[1.0, 0.09, 0.0], [0.05, 0.0, 0.0], [0.0, 0.0, -0.1], [0.0, 0.0, 5.0]])
    plot_logo(X, ax=ax, end=2, min_height_pct=0.09)
    assert len(letter_boxes(ax, "A")) == 2
    assert visible_artists(ax, "_letter C") == []


def test_only_annotations_wholly_inside_are_drawn(ax):
    table = seqlets((19, 25, 1.0), (20, 25, 2.0), (35, 40, 3.0), (36, 41, 4.0))
    plot_logo(projected(60), ax=ax, start=20, end=40, annotations=table)
    assert sorted(bar.get_x() for bar in visible_artists(ax, "_annotation bar")) == [20, 35]


def test_one_example_at_a_time(ax):
    table = pd.concat([seqlets((5, 10, 1.0)), seqlets((20, 30, 2.0), example_idx=3)])
    with pytest.raises(InputError, match=r"2 examples.*`example_idx`"):
        plot_logo(projected(60), ax=ax, annotations=table)
    plot_logo(projected(60), ax=ax, annotations=table, example_idx=3)
    assert [bar.get_x() for bar in visible_artists(ax, "_annotation bar")] == [20]


@pytest.mark.parametrize(
    ("table", "options", "texts"),
    [
        (seqlets((5, 10, 0.25)), {}, ["0.25"]),
        (seqlets((5, 10, 0.25)), {"show_score": False}, []),
        (seqlets((5, 10, 0.25), score=7.0), {}, ["0.25"]),
        (seqlets((5, 10, 0.25), score=7.0), {"score_key": "score"}, ["7"]),
        (pd.DataFrame({"hit": ["SP1"], "start": [5], "end": [10], "score": [7.5]}), {}, ["SP1 7.5"]),
        (pd.DataFrame({"start": [5], "end": [10], "hit": ["SP1"]}), {}, []),
        (pd.DataFrame({"start": [5], "end": [10], "hit": ["SP1"]}), {"label_key": "hit"}, ["SP1"]),
        (seqlets((55, 60, 0.25))[:0], {}, []),
    ],
)
def test_labels_and_scores(ax, table, options, texts):
    plot_logo(projected(60), ax=ax, annotations=table, **options)
    assert visible_texts(ax, "_annotation label") == texts
    assert len(visible_artists(ax, "_annotation bar")) == len(table)


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
        (np.zeros((4, 9)), {"annotations": seqlets((1, 2, 3.0)), "score_key": "p"}, "no column 'p'"),
        (np.zeros((4, 9)), {"annotations": seqlets((1, 2, 3.0))[["start"]]}, "no column 'end'"),
        (np.zeros((4, 9)), {"annotations": seqlets((1, 2, 3.0)), "n_tracks": 0}, "`n_tracks` is 0"),
        (np.zeros((4, 9)), {"annotations": seqlets((1, 2, 3.0)), "n_tracks": 2.5}, "`n_tracks` is 2.5"),
        (np.zeros((4, 9)), {"annotations": seqlets((1, 2, 3.0)), "spacing": "wide"}, "`spacing` is 'wide'"),
        (np.zeros((4, 9)), {"annotations": seqlets((1, 2, 3.0)), "example_idx": "0"}, "example_idx is '0'"),
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
        (np.zeros((4, 9)), {"annotations": seqlets((1, 2, "high"))}, "'attribution'.*does not hold numbers"),
        (np.zeros((4, 9)), {"annotations": seqlets((1, np.nan, 3.0))}, "'end'.*NaN"),
        (np.zeros((4, 9)), {"annotations": seqlets((4, 2, 3.0))}, "end before they start"),
        (np.zeros((4, 9)), {"annotations": seqlets((1, 2, 3.0)), "spacing": -1}, "`spacing` is -1"),
        (np.zeros((4, 9)), {"annotations": seqlets((1, 2, 3.0)), "annot_cmap": "no such"}, "`annot_cmap`"),
        (np.zeros((4, 9)), {"annotations": seqlets((1, 2, 3.0)), "annot_cmap": ["no such"]}, "`annot_cmap`"),
        (np.zeros((4, 9)), {"annotations": seqlets((1, 2, 3.0)), "annot_cmap": []}, "`annot_cmap`"),
        (
            np.zeros((4, 9)),
            {"annotations": seqlets((1, 2, 3.0))[["start", "end"]], "example_idx": 1},
            "leave it out",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused_and_nothing_is_drawn(ax, X, options, message):
    before = len(ax.get_children())
    with pytest.raises(InputError, match=message):
        plot_logo(X, ax=ax, **options)
    assert len(ax.get_children()) == before


@pytest.mark.parametrize(
    ("ax", "message"),
    [
        (Figure(), r"`ax` is a Figure.*`figure\.subplots\(\)`"),
        (np.array([1]), "`ax` is an ndarray.*pick one"),
        ("main", "`ax` is a str.*leave it out"),
    ],
)
def test_what_is_no_axes_is_refused(ax, message):
    with pytest.raises(InputError, match=message):
        plot_logo(np.eye(4), ax)


def test_input_is_not_changed(ax):
    X, table = projected(60), seqlets((5, 10, 1.0))
    kept, kept_table = X.copy(), table.copy()
    plot_logo(X, ax=ax, annotations=table)
    assert np.array_equal(X, kept)
    pd.testing.assert_frame_equal(table, kept_table)


def test_a_long_logo_is_four_artists(ax):
    before = len(ax.collections)
    plot_logo(projected(), ax=ax)
    assert len(ax.collections) - before == 4


def test_vector_output_names_nothing_twice(ax, tmp_path):
    plot_logo(projected(60), ax=ax, annotations=seqlets((5, 10, 1.0), (20, 30, 2.0)))
    ax.figure.savefig(tmp_path / "logo.svg")
    ids = [part.split('"')[0] for part in (tmp_path / "logo.svg").read_text().split(' id="')[1:]]
    assert len(ids) == len(set(ids)) > 10


def test_2000_positions_take_less_than_a_tenth_of_a_second():
    """Drawn and rendered: the least processor time of up to 20, since others may be at work on the machine."""
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


@pytest.mark.parametrize(
    ("table", "texts"),
    [
        (pd.DataFrame({"start": [5], "end": [9], "motif_name": ["SP1"]}), ["SP1"]),
        (pd.DataFrame({"example_idx": [0], "start": [5], "end": [9], "motif": ["SP1"]}), ["SP1"]),
        (pd.DataFrame({"hit": pd.Categorical(["SP1"]), "start": [5], "end": [9]}), ["SP1"]),
        (pd.DataFrame({"chrom": ["chr1"], "start": [5], "end": [9], "score": [np.nan]}), []),
        (
            pd.DataFrame({"hit": ["SP1", "YY1"], "start": [5, 25], "end": [9, 29], "strand": ["-", "+"]}),
            ["SP1 (-)", "YY1"],
        ),
        (pd.DataFrame({"motif": ["SP1"], "start": [5], "end": [9], "strand": ["-"], "motif_strand": ["+"]}), ["SP1"]),
        (pd.DataFrame({"start": [5], "end": [9], "strand": ["-"]}), []),
        (pd.DataFrame({"start": pd.array([5], "Int64"), "end": [9], "score": [2]}), ["2"]),
    ],
)
def test_names_are_found_where_tables_have_them(ax, table, texts):
    plot_logo(projected(60), ax=ax, annotations=table)
    assert visible_texts(ax, "_annotation label") == texts
