"""Mutants with one window in common, and dense layers by the change, against the same model on the whole mutants."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fixtures.followed_models import FOLLOWED, Lambda, c, make_followed
from tests.prediction.changed_windows.test_changed_tensor import LENGTH, assert_equal, sequence
from torch import nn

from seqlight.prediction.changed_windows import dense_layers
from seqlight.prediction.changed_windows.changed_tensor import ChangedTensor, whole
from seqlight.prediction.changed_windows.reference_outputs import ReferenceOutputs
from seqlight.prediction.changed_windows.windows import PlainWindows
from seqlight.prediction.outputs import flatten_structure, map_structure


@torch.no_grad()
def follow(model, X, start, width, outputs):
    """Return the outputs for all single mutants of a region by one window, and in full."""
    rows = [(position, letter) for position in range(start, start + width) for letter in range(4)]
    full = X.repeat(len(rows), 1, 1)
    for mutant, (position, letter) in zip(full, rows, strict=True):
        mutant[:, position] = torch.eye(4, dtype=X.dtype)[letter]
    windows = PlainWindows(X, full[:, :, start : start + width].clone(), torch.tensor([start]), 2)
    found = map_structure(whole, model(ChangedTensor(windows, outputs)))
    return flatten_structure(found), flatten_structure(model(full))


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("name", FOLLOWED)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_one_window_gives_what_the_whole_gives(name, dtype):
    """In float32 the channels of each position lie side by side."""
    model, X, outputs = make_followed(name, LENGTH).to(dtype), sequence().to(dtype), ReferenceOutputs()
    for start, width in [(0, 1), (0, 3), (40, 3), (41, 2), (88, 2), (89, 1), (0, 12)]:
        assert_equal(follow(model, X, start, width, outputs))


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_convolutions_of_a_change(data):
    def draw(first, last):
        return data.draw(st.integers(first, last))

    torch.manual_seed(draw(0, 99))
    groups, length = draw(1, 2), draw(30, 60)
    settings = {"groups": groups, "dilation": draw(1, 3), "padding": draw(0, 9), "bias": bool(draw(0, 1))}
    one = c(4, 2 * groups, draw(1, 6), **settings)
    image = nn.Conv2d(1, 2, (draw(1, 5), draw(1, 4)), padding=(draw(0, 4), draw(0, 4)), dilation=(draw(1, 2), 1))
    model = one if draw(0, 1) else Lambda(lambda x, f: f(x.mT.unsqueeze(1)), image)
    start, dtype = draw(0, length - 1), data.draw(st.sampled_from([torch.float32, torch.float64]))
    X, width = sequence(length).to(dtype), draw(1, min(5, length - start))
    assert_equal(follow(model.to(dtype), X, start, width, ReferenceOutputs()))


HEADS = {
    "positions last": lambda x, d: d(x.flatten(1)),
    "positions first": lambda x, d: d(x.mT.reshape(x.shape[0], -1)),
    "activation between": lambda x, d: d(torch.relu(x.view(x.shape[0], -1)) * 2),
    "in place": lambda x, d: d(nn.functional.dropout((x + 1).flatten(1), training=False).tanh_()),
    "not the first": lambda x, d: d(x.flatten(1).cumsum(1)),
    "with itself": lambda x, d: d((y := x.flatten(1)) + y),
    "matrix": lambda x, d: x.flatten(1) @ d.weight.T,
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", HEADS)
def test_dense_layers_take_the_change(name, dtype):
    torch.manual_seed(0)
    model = Lambda(lambda x, a, d: HEADS[name](a(x), d), c(4, 6, 5), nn.Linear(6 * (LENGTH - 4), 7)).to(dtype)
    for start in (0, 44, 88):
        assert_equal(follow(model, sequence().to(dtype), start, 2, ReferenceOutputs()))


def test_only_the_weights_of_what_changed_are_used(monkeypatch):
    model = nn.Sequential(c(4, 6, 5), nn.Flatten(), nn.Linear(6 * (LENGTH - 4), 7)).double()
    outputs = ReferenceOutputs()
    assert_equal(follow(model, sequence(), 44, 2, outputs))
    assert outputs.spent < outputs.whole / 5
    monkeypatch.setattr(dense_layers, "LARGEST", 100)
    outputs = ReferenceOutputs()
    assert_equal(follow(model, sequence(), 44, 2, outputs))
    assert outputs.spent > outputs.whole / 5


def test_weights_that_change_are_prepared_anew():
    layer, outputs = c(4, 6, 5).double(), ReferenceOutputs()
    assert_equal(follow(layer, sequence(), 44, 2, outputs))
    with torch.no_grad():
        layer.weight *= 2
    assert_equal(follow(layer, sequence(), 44, 2, ReferenceOutputs(outputs.weights)))


@pytest.mark.reliability(
    "Running a model",
    "what a sequence gives within a model is infinite somewhere, and mutants are computed by what they change",
    "the layers after it are computed anew, with the numbers of the plain call",
)
@pytest.mark.parametrize("head", [c(6, 3, 3), nn.AdaptiveAvgPool1d(1), Lambda(lambda x: x.mean(2))])
def test_infinite_references(head):
    model = nn.Sequential(c(4, 6, 3), Lambda(lambda x: torch.where(x > 0.9, torch.inf, x)), head).double()
    torch.manual_seed(3)
    assert_equal([[one.nan_to_num() for one in both] for both in follow(model, sequence(), 44, 2, ReferenceOutputs())])


@pytest.mark.reliability(
    "Running a model",
    "a mutation removes a peak a million times as large as all else, and mutants are computed by what they change",
    "sums, convolutions and dense layers on it are computed anew, with the digits of the plain call",
)
@pytest.mark.parametrize(
    "head",
    [
        c(4, 3, 3),
        nn.AdaptiveAvgPool1d(1),
        Lambda(lambda x: x.sum(2)),
        nn.Sequential(nn.Flatten(), nn.Linear(4 * LENGTH, 2)),
    ],
)
@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 1e7), (torch.float64, 1e12)])
def test_peaks_that_a_mutation_removes(head, dtype, size):
    X, gain = sequence().to(dtype), torch.zeros(4, LENGTH, dtype=dtype)
    letter = int(X[0, :, 44].argmax())
    gain[letter, 44] = size
    model = nn.Sequential(Lambda(lambda x: 1 + x * gain), head).to(dtype)
    (found,), (wanted,) = follow(model, X, 44, 1, ReferenceOutputs())
    removed = [row for row in range(4) if row != letter]
    torch.testing.assert_close(found[removed], wanted[removed], rtol=1e-5, atol=1e-5)
