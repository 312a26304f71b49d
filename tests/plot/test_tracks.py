import numpy as np
import pandas as pd
import pytest
import torch

from drawn_artists import visible_artists, visible_texts
from seqlight.errors import InputError
from seqlight.plot.tracks import plot_tracks


def steps(ax):
    return [patch.get_data() for patch in ax.patches if hasattr(patch, "get_data")]


def bars(ax):
    return sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bar in visible_artists(ax, "_annotation bar"))


def test_all_panels_have_one_axis(locus):
    X, seqlets, motifs = locus
    predictions = {"a": torch.ones(100, requires_grad=True), "b": np.ones((2, 120))}
    figure = plot_tracks(torch.from_numpy(X), predictions, seqlets=seqlets, motifs=motifs, start=20, end=110)
    figure.draw_without_rendering()
    assert [ax.get_title("left") for ax in figure.axes] == ["a", "b", "attribution"]
    assert {ax.get_xlim() for ax in figure.axes} == {(20, 110)}
    assert len({(ax.bbox.x0, ax.bbox.x1) for ax in figure.axes}) == 1
    logo = figure.axes[-1]
    assert bars(logo) == sorted(
        [*zip(seqlets["start"], seqlets["end"], strict=True), *zip(motifs["start"], motifs["end"], strict=True)]
    )
    assert visible_texts(logo, "_annotation title") == ["seqlets", "known motifs"]
    assert visible_texts(logo, "_annotation label")[-2:] == ["AP-1", "GATA1"]


def test_predictions_are_in_the_middle_or_in_the_given_window(locus):
    X, values = locus[0], np.arange(100.0)
    ((y, edges, _),) = steps(plot_tracks(X, values).axes[0])
    assert np.array_equal(y, values)
    assert np.array_equal(edges, np.arange(10, 111))
    ((y, edges, _),) = steps(plot_tracks(X, values[:30], prediction_window=(0, 120)).axes[0])
    assert np.array_equal(edges, np.arange(0, 121, 4))


def test_the_reverse_strand_hangs_down(locus):
    up, down = steps(plot_tracks(locus[0], np.stack([np.arange(120.0), np.ones(120)])).axes[0])
    assert up[0].max() == 119
    assert set(down[0]) == {-1}


def test_y_limits_fit_the_visible_window(locus):
    values = np.zeros(120)
    values[[10, 60]] = 100, 2
    ax = plot_tracks(locus[0], values, start=50, end=70).axes[0]
    assert ax.get_ylim() == (0, pytest.approx(2.1))
    assert plot_tracks(locus[0], np.zeros(120)).axes[0].get_ylim() == (0, 1)


def test_motifs_are_shaded_in_each_panel(locus):
    X, _, motifs = locus
    for shade, expected in ((True, 2), (False, 0)):
        figure = plot_tracks(X, np.ones(120), motifs=motifs, shade_motifs=shade)
        for ax in figure.axes:
            assert sum(patch.get_alpha() == 0.12 for patch in ax.patches) == expected


def test_one_of_several_examples_is_drawn(locus):
    X, seqlets, _ = locus
    table = pd.concat([seqlets, seqlets[:1].assign(example_idx=1)])
    places = pd.DataFrame({"chrom": ["chr1", "chr2"], "start": [0, 500], "end": [120, 620]})
    figure = plot_tracks(X, seqlets=table, locus=places, example_idx=1)
    assert bars(figure.axes[0]) == [(29, 38)]
    assert figure.axes[0].get_xlabel() == "position on chr2"


def test_nothing_is_cut_off_at_the_edges(locus):
    X, seqlets, motifs = locus
    place = ("chr8", 127735433, 127735553)
    figure = plot_tracks(X, {"a track": np.ones(120)}, seqlets=seqlets, motifs=motifs, locus=place)
    figure.draw_without_rendering()
    edge = figure.bbox
    for ax in figure.axes:
        for text in (*ax.texts, ax._left_title, ax.xaxis.label, *ax.get_yticklabels()):
            box = text.get_window_extent()
            assert not text.get_visible() or (box.x0 >= edge.x0 and box.x1 <= edge.x1 and box.y0 >= edge.y0)


@pytest.mark.parametrize("empty", ["seqlets", "motifs"])
def test_an_empty_table_keeps_its_row(locus, empty):
    X, seqlets, motifs = locus
    tables = {"seqlets": seqlets, "motifs": motifs}
    tables[empty] = tables[empty][:0]
    ax = plot_tracks(X, **tables).axes[0]
    ax.figure.draw_without_rendering()
    upper, lower = (one.get_window_extent() for one in ax.texts if one.get_label() == "_annotation title")
    assert upper.y0 > lower.y1
    assert lower.y0 > ax.spines["bottom"].get_window_extent().y1


@pytest.mark.parametrize(
    ("predictions", "options", "message"),
    [
        (np.ones((3, 120)), {}, r"'prediction' has shape \(3, 120\)"),
        ({"DNase": np.ones((1, 2, 120))}, {}, "'DNase' has shape"),
        (np.ones(130), {}, "130 values for 120 positions"),
        (np.full(120, np.nan), {}, "finite"),
        ({"DNase": ["a"]}, {}, "`DNase` is of type list"),
        (np.ones(10), {"prediction_window": (5, 5)}, "`prediction_window`"),
        (np.ones(10), {"prediction_window": 5}, "`prediction_window` is 5"),
        (np.ones(10), {"prediction_window": (1, 2, 3)}, "two positions"),
        (None, {"figsize": "big"}, "`figsize` is 'big'"),
        (None, {"figsize": (3, -1)}, "width and height"),
        (None, {"seqlets": [1]}, "`seqlets` is of type list"),
        (None, {"motifs": pd.DataFrame({"start": [1]})}, "`motifs` has no column 'end'"),
        (None, {"locus": ("chr1", 0, 100)}, "100 positions and the sequence 120"),
        (None, {"start": 130}, "`start` is 130"),
    ],
)
def test_invalid_input_is_refused(locus, predictions, options, message):
    with pytest.raises(InputError, match=message):
        plot_tracks(locus[0], predictions, **options)
