"""The map of a layer: the filters with the largest sums, in order, and errors by name."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.figure import Figure
from torch import nn

import seqlight as sl
from seqlight.errors import InputError


@pytest.fixture
def ax():
    return Figure().subplots()


@given(
    arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 5)), elements=st.floats(-5, 5)), st.integers(1, 8)
)
def test_rows_are_the_filters_with_the_largest_sums(values, top):
    ax = Figure().subplots()
    sl.plot_filters(values, ax, top=top)
    rows = [int(label.get_text().removeprefix("filter ")) for label in ax.get_yticklabels()]
    sums = np.abs(values.sum(axis=1))
    assert sums[rows].tolist() == sorted(sums, reverse=True)[:top]
    np.testing.assert_array_equal(ax.images[0].get_array(), values[rows])
    low, high = ax.images[0].get_clim()
    assert low == -high


def test_of_an_explanation(ax):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(4, 6, 5), nn.ReLU(), nn.Flatten(), nn.Linear(96, 2))
    X = sl.random_one_hot((2, 4, 20), random_state=0)
    found = sl.attribute(model, X, layers=["0", "1"], n_shuffles=3, random_state=0, target=[0, 1], device="cpu")
    one = found.of_target(1)
    sl.plot_filters(one, ax, layer="1", example_idx=1, top=6, names=list("abcdef"))
    order = ["abcdef".index(label.get_text()) for label in ax.get_yticklabels()]
    np.testing.assert_allclose(ax.images[0].get_array(), one.layers["1"][1][order])
    assert [float(text.get_text()) for text in ax.texts] == pytest.approx(one.layers["1"][1][order].sum(1), rel=0.06)
    with pytest.raises(InputError, match="several targets"):
        sl.plot_filters(found, ax)
    with pytest.raises(InputError, match="choose one with layer="):
        sl.plot_filters(one, ax)
    with pytest.raises(InputError, match="expected '0' or '1'"):
        sl.plot_filters(one, ax, layer="2")
    with pytest.raises(InputError, match="choose one with example_idx"):
        sl.plot_filters(one, ax, layer="0")
    with pytest.raises(InputError, match="there are 2 sequences"):
        sl.plot_filters(one, ax, layer="0", example_idx=2)


@pytest.mark.parametrize(
    ("values", "settings", "met"),
    [
        (np.zeros(3), {}, "expected finite numbers of shape"),
        (np.full((2, 3), np.nan), {}, "expected finite numbers"),
        (np.zeros((2, 3)), {"top": 0}, "at least one filter"),
        (np.zeros((2, 3)), {"names": ["a"]}, "1 `names` for 2 filters"),
    ],
)
def test_what_cannot_be_drawn(ax, values, settings, met):
    with pytest.raises(InputError, match=met):
        sl.plot_filters(values, ax, **settings)


def test_an_explanation_without_layers(ax):
    model = nn.Sequential(nn.Flatten(), nn.Linear(80, 1))
    found = sl.attribute(model, sl.random_one_hot((1, 4, 20), random_state=0), random_state=0, device="cpu")
    with pytest.raises(InputError, match="has no layers"):
        sl.plot_filters(found, ax)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(4, 6, batch_first=True), nn.Linear(6, 1)

    def forward(self, x):
        return self.head(self.lstm(x.mT)[0].mean(1))


@pytest.mark.reliability(
    "pictures", "the filters of a layer with its channels last are drawn", "refused, with the option to pass"
)
def test_a_layer_with_its_channels_last(ax):
    torch.manual_seed(0)
    X = sl.random_one_hot((2, 4, 20), random_state=0)
    found = sl.attribute(Recurrent(), X, layers=["lstm", "head"], n_shuffles=2, random_state=0, device="cpu")
    assert found.layers["lstm[0]"].shape == (2, 20, 6)
    with pytest.raises(InputError, match=r"has shape \(20, 6\).*pass channels_last=True"):
        sl.plot_filters(found, ax, layer="lstm[0]", example_idx=0)
    with pytest.raises(InputError, match=r"has shape \(1,\): expected finite numbers of shape"):
        sl.plot_filters(found, ax, layer="head", example_idx=0)
    sl.plot_filters(found, ax, layer="lstm[0]", example_idx=0, channels_last=True)
    drawn = ax.images[0].get_array()
    assert drawn.shape == (6, 20)
    rows = [int(label.get_text().removeprefix("filter ")) for label in ax.get_yticklabels()]
    np.testing.assert_array_equal(drawn, found.layers["lstm[0]"][0].T[rows])
    other = Figure().subplots()
    sl.plot_filters(found, other, layer="lstm[0]", example_idx=0, channels_last=False)
    assert other.images[0].get_array().shape == (10, 6)
