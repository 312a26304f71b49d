from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.text import Text

import seqlight as sl
from seqlight.report import figures
from seqlight.report.ruler import Ruler

CODON = "the start codon"


def is_labelled(figure):
    """Return whether all axes have labels."""
    figure.draw_without_rendering()
    return all(ax.get_ylabel() or ax.get_xlabel() for ax in figure.axes)


def texts_are_inside(figure):
    """Return whether all texts lie inside the figure."""
    figure.draw_without_rendering()
    box = figure.bbox
    texts = [text for ax in figure.axes for text in (ax.xaxis.label, ax.yaxis.label, ax.title, *ax.texts)]
    extents = [text.get_window_extent() for text in texts if text.get_text() and text.get_visible()]
    return all(box.x0 <= e.x0 and e.x1 <= box.x1 and box.y0 <= e.y0 and e.y1 <= box.y1 for e in extents)


@pytest.mark.parametrize("first", [0, 1])
def test_learning_curves(first):
    figure = figures.learning_curves({"loss": {"a": [3, 2, 1], "b": [3, 3, 2]}, "AUROC": {"": [0.5, 0.6, 0.7]}}, first)
    loss, auroc = figure.axes
    assert loss.lines[0].get_xdata().tolist() == [first, first + 1, first + 2]
    assert loss.lines[1].get_ydata().tolist() == [3, 3, 2]
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["a", "b"]
    assert auroc.get_legend() is None
    assert is_labelled(figure)
    assert texts_are_inside(figure)


def test_learning_curves_of_some_epochs():
    (ax,) = figures.learning_curves({"loss": {"a": {2: 0.5, 4: 0.4}, "b": {1: 0.1}}}).axes
    assert ax.lines[0].get_xdata().tolist() == [2, 4]
    assert ax.get_xlim() == (0.5, 4.5)


def test_logos_of_a_window():
    figure = figures.logos(attributions(), ["a", "b", "c"], shaded=[[(0, 3), (10, 12)]] * 3, start=8, end=15)
    assert {ax.get_xlim() for ax in figure.axes} == {(8, 15)}


def test_one_epoch_is_enough():
    figure = figures.learning_curves({"loss": {"": [0.5]}})
    assert texts_are_inside(figure)
    assert figure.axes[0].get_xlim() == (0.5, 1.5)
    assert texts_are_inside(figures.attribution_by_epoch(np.full((1, 5), 0.2), [0.4], (1, 3), Ruler(2)))


def test_attribution_by_epoch():
    profiles = np.random.RandomState(0).dirichlet(np.ones(12), size=4)
    heat, share, bar = figures.attribution_by_epoch(profiles, [0.1, 0.2, 0.3, 0.4], (2, 6), Ruler(5), [0, 3, 6, 9]).axes
    assert heat.images[0].get_array().shape == (4, 12)
    assert [line.get_xdata()[0] for line in heat.lines] == [2, 6]
    assert [heat.xaxis.get_major_formatter()(x, 0) for x in (2, 5, 6)] == ["-3", "0", "+1"]
    assert [heat.yaxis.get_major_formatter()(row, 0) for row in (0, 1, 3, 4)] == ["0", "3", "9", ""]
    assert share.lines[0].get_xdata().tolist() == pytest.approx([10, 20, 30, 40])
    assert heat.get_ylim() == share.get_ylim()
    assert bar.get_ylabel()
    assert len(figures.attribution_by_epoch(profiles, None, None).axes) == 2


def attributions(n=3, length=20):
    X = sl.random_one_hot((n, 4, length), random_state=0)
    torch.manual_seed(0)
    return X * torch.randn(n, 1, length)


def test_logos():
    table = pd.DataFrame({"example_idx": [7, 9], "start": [2, 5], "end": [6, 9], "attribution": [1.0, -1.0]})
    shaded = [[(1, 4)], [], [(0, 2), (5, 9)]]
    figure = figures.logos(attributions(), ["a", "b", "c"], table, [7, 8, 9], shaded, Ruler(4, CODON))
    assert [len([patch for patch in ax.patches if patch.get_zorder() == 0]) for ax in figure.axes] == [1, 0, 2]
    assert len({ax.get_ylim() for ax in figure.axes}) == 1
    assert figure.axes[-1].get_xlabel() == "position from the start codon"
    assert [figure.axes[0].xaxis.get_major_formatter()(x, 0) for x in (0, 4, 9)] == ["-4", "0", "+5"]
    assert is_labelled(figure)
    assert texts_are_inside(figure)


def test_logo_limits_have_room_for_all():
    low, high = figures.logo_limits(torch.stack([attributions(), 3 * attributions()]))
    track = 3 * attributions().sum(dim=1)
    assert low < float(track.min())
    assert high > float(track.max())
    low, high = figures.logo_limits(torch.zeros(1, 4, 5))
    assert low < 0 < high


def test_seqlet_places():
    seqlets = pd.DataFrame({"start": [0, 2, 8], "end": [4, 6, 30]})
    figure = figures.seqlet_places(seqlets, 10, (1, 3), Ruler(2), known=seqlets[:1])
    found, known = (patch.get_data() for patch in figure.axes[0].patches if hasattr(patch, "get_data"))
    assert found.values.tolist() == [1, 1, 2, 2, 1, 1, 0, 0, 1, 1]
    assert found.edges.tolist() == list(range(11))
    assert known.values.tolist() == [1] * 4 + [0] * 6
    assert texts_are_inside(figure)
    assert texts_are_inside(figures.seqlet_places(seqlets[:0], 10))


@pytest.mark.reliability(
    "names in pictures", "mathematics in names of sequences, metrics and rulers", "drawn as they are"
)
def test_names_are_drawn_verbatim():
    name, ruler = r"$\frac$", Ruler(2, r"$\frac$")
    table = pd.DataFrame({"start": [1], "end": [4]})
    made = [
        figures.learning_curves({name: {name: [0.5, 0.4], "_b": [0.3, 0.2]}}),
        figures.attribution_by_epoch(np.full((2, 20), 0.05), None, None, ruler),
        figures.logos(attributions(1), [name], ruler=ruler),
        figures.seqlet_places(table, 20, ruler=ruler),
    ]
    for figure in made:
        figure.draw_without_rendering()
        ours = [text for text in figure.findobj(Text) if name in text.get_text()]
        assert ours
        assert not any(text.get_parse_math() or text.get_usetex() for text in ours)
    assert [text.get_text().strip() for text in made[0].axes[0].get_legend().get_texts()] == [name, "_b"]
