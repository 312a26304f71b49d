import itertools
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from seqlight.errors import InputError
from seqlight.plot.logos import plot_logo


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


def named(ax, name):
    return [artist for artist in ax.get_children() if artist.get_label() == name and artist.get_visible()]


def letter_boxes(ax, letter):
    """(left, bottom, right, top) of each occurrence, in data units."""
    (collection,) = named(ax, f"_letter {letter}")
    (path,) = collection.get_paths()
    begins = np.flatnonzero(path.codes == path.MOVETO)
    n_outlines = {"A": 2}.get(letter, 1)
    parts = np.split(path.vertices, begins[n_outlines::n_outlines])
    # The closing vertex of an outline is a placeholder in some fonts, so it is left out.
    return [(*part[:-1].min(axis=0), *part[:-1].max(axis=0)) for part in parts]


def drawn_boxes(ax, *names):
    ax.figure.canvas.draw()
    return [artist.get_window_extent() for name in names for artist in named(ax, name)]


def overlapping(boxes):
    pairs = itertools.combinations(boxes, 2)
    return [(a, b) for a, b in pairs if a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1]


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
    (path,) = named(ax, "_letter A")[0].get_paths()
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
        assert tuple(named(ax, f"_letter {letter}")[0].get_facecolor()[0]) == to_rgba(wanted)


def test_default_colours_are_those_of_the_field(ax):
    plot_logo(np.eye(5), ax=ax, alphabet="ACGTN")
    seen = {letter: named(ax, f"_letter {letter}")[0].get_facecolor()[0][:3] for letter in "ACGTN"}
    assert np.argmax(seen["A"]) == 1
    assert np.argmax(seen["C"]) == 2
    assert np.argmax(seen["T"]) == 0
    assert seen["G"][0] > seen["G"][1] > seen["G"][2]
    assert len(set(seen["N"])) == 1


def test_tutorial_call_and_limits_set_afterwards(current_ax):
    X = projected()
    table = seqlets((1578, 1583, -0.02), (1033, 1039, 0.4463), (932, 937, -0.0208), (920, 930, 0.3))
    plot_logo(X, ax=current_ax, start=925, end=1100, annotations=table, score_key="attribution")
    before = [box.extents for box in drawn_boxes(current_ax, "_annotation bar", "_annotation label")]
    plt.ylim(-0.025, 0.25)
    plt.xlabel("Genomic Coordinate")
    after = drawn_boxes(current_ax, "_annotation bar", "_annotation label")
    np.testing.assert_allclose([box.extents for box in after], before)
    assert current_ax.get_xlim() == (925, 1100)
    assert [text.get_text() for text in named(current_ax, "_annotation label")] == ["0.446", "-0.0208"]
    bars = {bar.get_x(): bar.get_width() for bar in named(current_ax, "_annotation bar")}
    assert bars == {1033: 6, 932: 5}
    # Between the logo and the numbers on the x axis.
    assert max(box.y1 for box in after) < current_ax.bbox.y0
    numbers = [label.get_window_extent() for label in current_ax.get_xticklabels() if label.get_text()]
    assert min(box.y0 for box in after) > max(box.y1 for box in numbers)
    assert current_ax.xaxis.label.get_window_extent().y1 < min(box.y1 for box in numbers)


def test_current_axes_are_the_default(current_ax):
    assert plot_logo(np.eye(4)) is current_ax


def test_no_pyplot_where_axes_are_given():
    code = (
        "import sys, numpy as np; from matplotlib.figure import Figure\n"
        "from seqlight.plot.logos import plot_logo\n"
        "plot_logo(np.eye(4), Figure().subplots())\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
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
    boxes = drawn_boxes(ax, "_annotation bar", "_annotation label", "_annotation note")
    assert len(boxes) > 20
    assert overlapping(boxes) == []
    assert all(box.x0 >= ax.bbox.x0 - 1 and box.x1 <= ax.bbox.x1 + 1 for box in boxes)
    tracks = {bar.get_y() for bar in named(ax, "_annotation bar")}
    assert len(tracks) == 4
    note = [text.get_text() for text in named(ax, "_annotation note")]
    missing = len(table) - len(named(ax, "_annotation bar"))
    assert note == ([f"{missing} more not shown"] if missing else [])
    # Every label stands under a bar of its own.
    labels, bars = drawn_boxes(ax, "_annotation label"), drawn_boxes(ax, "_annotation bar")
    for label in labels:
        assert any(bar.x0 < label.x1 and label.x0 < bar.x1 and 0 < bar.y0 - label.y1 < 6 for bar in bars)


def test_overlapping_check_can_fail(ax):
    plot_logo(projected(50), ax=ax, annotations=seqlets((5, 10, 1.0)))
    box = drawn_boxes(ax, "_annotation bar")[0]
    assert len(overlapping([box, box])) == 1


def test_strongest_annotations_keep_their_labels_where_room_is_short(ax):
    table = seqlets(*((10 + shift, 30 + shift, score) for shift, score in enumerate([0.1, -9.0, 0.3, 8.0, 0.2])))
    plot_logo(projected(50), ax=ax, annotations=table, n_tracks=2)
    assert [text.get_text() for text in named(ax, "_annotation label")] == ["-9", "8"]
    assert [text.get_text() for text in named(ax, "_annotation note")] == ["3 more not shown"]


def test_only_annotations_wholly_inside_are_drawn(ax):
    table = seqlets((19, 25, 1.0), (20, 25, 2.0), (35, 40, 3.0), (36, 41, 4.0))
    plot_logo(projected(60), ax=ax, start=20, end=40, annotations=table)
    assert sorted(bar.get_x() for bar in named(ax, "_annotation bar")) == [20, 35]


def test_one_example_at_a_time(ax):
    table = pd.concat([seqlets((5, 10, 1.0)), seqlets((20, 30, 2.0), example_idx=3)])
    with pytest.raises(InputError, match=r"2 examples.*`example_idx`"):
        plot_logo(projected(60), ax=ax, annotations=table)
    plot_logo(projected(60), ax=ax, annotations=table, example_idx=3)
    assert [bar.get_x() for bar in named(ax, "_annotation bar")] == [20]


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
    assert [text.get_text() for text in named(ax, "_annotation label")] == texts
    assert len(named(ax, "_annotation bar")) == len(table)


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
