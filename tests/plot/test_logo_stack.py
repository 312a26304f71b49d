import numpy as np
import pandas as pd
import pytest
import torch

import seqlight as sl
from seqlight.errors import InputError
from seqlight.plot.logo_stack import plot_logos
from seqlight_callbacks.records import AttributionRecord


def tallest(ax):
    paths = [path for one in ax.collections for path in one.get_paths()]
    return max(path.vertices[:, 1].max() for path in paths)


def titles(figure):
    return [ax.get_title("left") for ax in figure.axes]


@pytest.fixture(scope="module")
def explained():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 3))
    return sl.attribute(model, sl.random_one_hot((2, 4, 20), random_state=0), target=[0, 2, 1], random_state=0)


@pytest.mark.parametrize("kind", [np.stack, lambda given: torch.from_numpy(np.stack(given)), list])
def test_one_scale(locus, kind):
    X = locus[0]
    figure = plot_logos(kind([0.1 * X, X]), ["weak", "strong"], start=20, end=100)
    weak, strong = figure.axes
    assert weak.get_ylim() == strong.get_ylim()
    assert weak.get_xlim() == (20, 100)
    assert tallest(weak) == pytest.approx(0.1 * tallest(strong))
    assert titles(figure) == ["weak", "strong"]
    assert weak.get_ylim()[1] > X.max()


def test_targets_of_an_explanation(explained):
    figure = plot_logos(explained, example_idx=1)
    assert titles(figure) == ["target 0", "target 1", "target 2"]
    for ax, values in zip(figure.axes, explained.attributions[1], strict=True):
        assert tallest(ax) == pytest.approx(float(values.max()), rel=1e-5)


def test_sequences_of_an_explanation_of_one_target(explained):
    one = explained.of_target(0)
    assert titles(plot_logos(one)) == ["sequence 0", "sequence 1"]
    assert titles(plot_logos(one, example_idx=1)) == ["sequence 1"]


def test_epochs_of_records(locus):
    X = torch.from_numpy(locus[0])
    records = [AttributionRecord(n, torch.stack([0 * X, n * X]), torch.zeros(2), torch.zeros(2, 5)) for n in (0, 1, 5)]
    figure = plot_logos(records, example_idx=1)
    assert titles(figure) == ["untrained", "epoch 1", "epoch 5"]
    assert tallest(figure.axes[2]) == pytest.approx(5 * tallest(figure.axes[1]))
    with pytest.raises(InputError, match="2 sequences"):
        plot_logos(records)


def test_annotations_are_beneath_the_last(locus):
    X, seqlets, _ = locus
    table = pd.concat([seqlets, seqlets.assign(example_idx=1)])
    figure = plot_logos(np.stack([X, X]), annotations=table, example_idx=0, show_score=False)
    figure.draw_without_rendering()
    counts = [sum(one.get_label() == "_annotation bar" for one in ax.get_children()) for ax in figure.axes]
    assert counts == [0, len(seqlets)]
    assert len({(ax.bbox.x0, ax.bbox.x1) for ax in figure.axes}) == 1
    numbers = [label.get_text() for label in figure.axes[0].get_xticklabels() if label.get_visible()]
    assert numbers == []


def test_letters_of_proteins():
    figure = plot_logos(np.ones((2, 3, 5)), alphabet="KLM", color={"K": "r", "L": "g", "M": "b"})
    assert len(figure.axes) == 2


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        (np.ones((4, 9)), {}, r"shape \(4, 9\), but \(logos, letters, positions\)"),
        (np.ones((0, 4, 9)), {}, r"\(0, 4, 9\)"),
        (np.ones((2, 9, 4)), {}, r"attributions\[0\]"),
        (np.ones((2, 4, 9)), {"labels": ["a"]}, "`labels` has 1 entries for 2 logos"),
        (np.ones((2, 4, 9)), {"labels": "ab"}, "`labels` has one string"),
        (np.ones((2, 4, 9)), {"figsize": 3}, "`figsize` is 3"),
        ([np.ones((4, 9)), np.ones((4, 8))], {}, r"\[8, 9\] positions"),
        ([], {}, "empty"),
        ({"a": 1}, {}, "type dict"),
        (np.full((2, 4, 9), np.nan), {}, "NaN"),
        (np.ones((2, 4, 9)), {"start": 9}, "`start` is 9"),
        (np.ones((2, 4, 9)), {"annotations": [1]}, "type list"),
    ],
)
def test_invalid_input_is_refused(given, options, message):
    with pytest.raises(InputError, match=message):
        plot_logos(given, **options)


@pytest.mark.parametrize(("example_idx", "message"), [(None, "2 sequences"), (2, "counted from 0"), (-1, "from 0")])
def test_the_sequence_must_be_chosen(explained, example_idx, message):
    with pytest.raises(InputError, match=message):
        plot_logos(explained, example_idx=example_idx)
