import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.figure import Figure

from drawn_artists import visible_artists
from seqlight.errors import InputError
from seqlight.plot.pwm_logo import information, plot_pwm

MOTIF = np.array([[1, 0.5, 0.25, 0.7], [0, 0.5, 0.25, 0.1], [0, 0, 0.25, 0.1], [0, 0, 0.25, 0.1]])


@pytest.fixture
def ax():
    return Figure(figsize=(4, 1.5)).subplots()


def letter_boxes(ax, letter):
    """Return left and right, bottom and top of each letter, in the units of the axes."""
    found = []
    for collection in visible_artists(ax, f"_letter {letter}"):
        for path in collection.get_paths():
            parts = np.split(path.vertices, np.flatnonzero(path.codes == 1)[1:])
            found += [(*part.min(axis=0), *part.max(axis=0)) for part in parts]
    return np.array(found)


def test_heights_are_information(ax):
    plot_pwm(MOTIF, ax)
    boxes = letter_boxes(ax, "C")
    assert boxes[0][3] - boxes[0][1] == pytest.approx(0.5)
    assert letter_boxes(ax, "A")[:, 3].max() == pytest.approx(2)
    assert ax.get_ylim() == (0, 2)
    assert ax.get_xlim() == (0, 4)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("position", "bits")


def test_heights_are_probabilities(ax):
    plot_pwm(torch.from_numpy(MOTIF), ax, scale="probability")
    boxes = letter_boxes(ax, "T")
    assert (boxes[:, 3] - boxes[:, 1]).tolist() == pytest.approx([0.25, 0.1])
    assert ax.get_ylim() == (0, 1)


def test_counts_are_frequencies(ax):
    plot_pwm(pd.DataFrame(20 * MOTIF, index=list("ACGT")), ax)
    assert letter_boxes(ax, "A")[:, 3].max() == pytest.approx(2)


def test_the_background_itself_has_no_height(ax):
    background = [0.3, 0.2, 0.2, 0.3]
    plot_pwm(np.tile(background, (5, 1)).T, ax, background=background)
    heights = [collection.get_paths()[0].vertices[:, 1].max() for collection in ax.collections]
    assert max(heights, default=0) < 1e-9
    assert ax.get_ylim()[1] == pytest.approx(np.log2(1 / 0.2))


def test_proteins(ax):
    plot_pwm(np.full((20, 3), 0.05), ax, scale="probability", alphabet="ACDEFGHIKLMNPQRSTVWY")
    assert len(visible_artists(ax, "_letter W")) == 1


@pytest.mark.parametrize(
    ("motif", "options", "message"),
    [
        (MOTIF, {"scale": "nats"}, "'bits' or in 'probability'"),
        (MOTIF, {"background": [0.5, 0.5, 0, 0]}, "a probability above 0"),
        (MOTIF, {"background": [0.5, 0.5]}, "each of 4 letters"),
        (MOTIF, {"alphabet": "ACG"}, "4 rows, but `alphabet` 3 letters"),
        (MOTIF.T, {}, "sum to one"),
        (MOTIF[0], {}, "shape"),
        (-MOTIF, {}, "below 0"),
    ],
)
def test_what_is_no_motif_is_refused(ax, motif, options, message):
    with pytest.raises(InputError, match=message):
        plot_pwm(motif, ax, **options)


@given(arrays(np.float64, (4, 6), elements=st.floats(0, 1)), arrays(np.float64, 4, elements=st.floats(0.01, 1)))
def test_information_is_the_relative_entropy(values, background):
    frequencies = (values + 1e-9) / (values + 1e-9).sum(axis=0)
    background = background / background.sum()
    heights = information(frequencies, background)
    entropy = np.sum(frequencies * (np.log2(frequencies) - np.log2(background[:, None])), axis=0)
    np.testing.assert_allclose(heights.sum(axis=0), entropy, atol=1e-9)
    assert (heights >= 0).all()
    assert (heights.sum(axis=0) <= -np.log2(background.min()) + 1e-9).all()
