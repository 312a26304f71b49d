"""Differences from the reference that wait until it is known what is needed of them, against the model in full."""

import pytest
import torch
from tests.fixtures.followed_models import Lambda, c
from tests.prediction.changed_windows import test_changed_tensor, test_together
from tests.prediction.changed_windows.test_changed_tensor import assert_equal, mutants, sequence
from torch import nn
from torch.nn import functional as F

from seqlight.native.library import has_lanes, library
from seqlight.prediction.changed_windows.changed_tensor import ChangedTensor
from seqlight.prediction.changed_windows.differences import MOST_WAITING, Differences
from seqlight.prediction.changed_windows.reference_outputs import ReferenceOutputs

LENGTH = 150


def dilated(dilation=4):
    return c(16, 16, 3, padding=dilation, dilation=dilation)


def one_by_one(x, f):
    for _ in range(MOST_WAITING):
        x = x + torch.tanh(f(x)) / MOST_WAITING
    return x


CHAINS = {
    "after": lambda x, f, g: x + g(F.relu(x + F.relu(f(x)))),
    "before": lambda x, f, g: x + g(F.relu(f(F.relu(x)))),
    "twice": lambda x, f, g: F.relu(y := f(x)) + y.sigmoid() * g(y),
    "kept": lambda x, f, g: torch.cat([x + (y := F.relu(f(x))), y, g(y)], 1),
    "minus": lambda x, f, g: (F.relu(f(x)) - x) + (x - F.relu(g(x))),
    "itself": lambda x, f, g: (y := F.relu(f(x))) - y + g(y + y),
    "number": lambda x, f, g: 1 + F.leaky_relu(f(x), 0.2) + torch.add(x, g(x), alpha=2),
    "gelu": lambda x, f, g: x + F.gelu(g(F.silu(f(x)))),
    "in place": lambda x, f, g: g(x).add_(F.relu(f(x), inplace=True)).relu_(),
    "pool": lambda x, f, g: g(F.max_pool1d(F.relu(f(x)), 3, 1, 1)),
    "norm": lambda x, f, g: x + F.relu(F.batch_norm(f(x), torch.ones(16).to(x), 4 * torch.ones(16).to(x))) + g(x),
    "norm of numbers": lambda x, f, g: torch.batch_norm(
        f(x), None, None, *torch.ones(2, 16).to(x), False, 0.1, 1e-5, False
    ),
    "valid": lambda x, f, g: x[:, :, 4:-4] + F.relu(F.conv1d(x, f.weight, f.bias, dilation=4)),
    "loop": lambda x, f, g: one_by_one(g(x), nn.Identity()),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CHAINS)
def test_chains_give_what_the_whole_gives(name, dtype):
    torch.manual_seed(0)
    body = Lambda(CHAINS[name], dilated(), dilated(9))
    model, X = nn.Sequential(c(4, 16, 9, padding=4), nn.ReLU(), body).to(dtype), sequence(LENGTH).to(dtype)
    outputs = ReferenceOutputs()
    for positions in [range(60, 63), [0, 1, 70, 149]]:
        assert_equal(test_changed_tensor.follow(model, X, list(positions), outputs))
    for start in (0, 70, 147):
        assert_equal(test_together.follow(model, X, start, 3, outputs))


def test_an_output_that_is_used_twice_is_computed_twice_only_once(monkeypatch):
    if not has_lanes(library()):
        pytest.skip("no loops for wide registers")
    from seqlight.prediction.changed_windows.three_taps import ThreeTaps

    runs, run = [], ThreeTaps._run
    monkeypatch.setattr(ThreeTaps, "_run", lambda *args: runs.append(None) or run(*args))
    model = nn.Sequential(c(4, 16, 9, padding=4), Lambda(lambda x, f: F.relu(y := f(x)).sum(2) + y.sum(2), dilated()))
    X, outputs = sequence(LENGTH).float(), ReferenceOutputs()
    counts = []
    for _ in range(2):
        runs.clear()
        assert_equal(test_changed_tensor.follow(model, X, [60, 61], outputs))
        counts.append(len(runs))
    assert counts == [2, 1]


@torch.no_grad()
def test_what_waits_is_computed_after_a_while():
    windows, _ = mutants(sequence(LENGTH), torch.tensor([60, 61]))
    x = c(4, 16, 9, padding=4).double()(ChangedTensor(windows, ReferenceOutputs()))
    waiting = []
    for _ in range(3 * MOST_WAITING):
        x = torch.tanh(x)
        waiting.append(x.windows.waiting)
    assert max(waiting) == MOST_WAITING
    assert waiting.count(0) == 2


def test_differences_and_values():
    reference, difference = torch.rand(1, 2, 30), torch.rand(3, 2, 4)
    starts = torch.tensor([2, 9, 26])
    there = torch.cat([reference[:, :, start : start + 4] for start in starts.tolist()])
    made = []

    def make():
        made.append(None)
        return difference.clone()

    one = Differences(reference, starts, 2, difference.shape, make)
    one.new_change().zero_()
    assert torch.equal(one.change(), difference)
    assert torch.equal(one.values, difference + there)
    one.new_change().zero_()
    one.new_values().zero_()
    assert one.change() is one.change()
    assert torch.equal(one.whole()[1, :, 9:13], one.values[1])
    assert len(made) == 2
    by_values = Differences(reference, starts, 2, difference.shape, make, values=lambda: there + 1)
    assert torch.equal(by_values.values, there + 1)
    assert torch.equal(by_values.change(), there + 1 - there)
    assert torch.equal(by_values.new_values(), by_values.values)


@pytest.mark.reliability(
    "Running a model",
    "a convolution finds a motif ten million times as strong as all else, a mutation removes it, and a branch is added",
    "the outputs keep the digits of the plain call",
)
@pytest.mark.parametrize("combine", [lambda x, y: F.relu(y) + x, lambda x, y: F.relu(x + y), lambda x, y: y.relu() - x])
def test_peaks_within_a_chain(combine):
    X, finder = sequence(LENGTH).float(), c(4, 16, 7, padding=3)
    with torch.no_grad():
        finder.weight[3], finder.bias[3] = 1e7 * X[0, :, 60:67], -6.5e7
    model = nn.Sequential(Lambda(lambda x, f, g: combine(g(x), f(x)), finder, c(4, 16, 1)), dilated(), nn.ReLU())
    (found,), (wanted,) = test_together.follow(model, X, 63, 1, ReferenceOutputs())
    removed = [row for row in range(4) if not X[0, row, 63]]
    torch.testing.assert_close(found[removed], wanted[removed], rtol=1e-4, atol=1e-4)
