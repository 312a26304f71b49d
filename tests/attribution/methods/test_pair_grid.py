"""Pairs of mutations against loops that substitute two letters and run one sequence at a time."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import seqlight as sl
from seqlight.attribution.methods import changed_mutants
from seqlight.attribution.methods.pair_grid import PairGrid
from seqlight.prediction.batch_size import BatchSize
from seqlight.prediction.changed_windows.changed_tensor import ChangedTensor


class Net(nn.Module):
    """A small network that multiplies what it finds at distant positions, and counts its rows."""

    def __init__(self, letters=4, outputs=2):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv1d(letters, 8, 3, padding=1), nn.GELU(), nn.Conv1d(8, 8, 3, padding=1))
        self.head, self.rows, self.changed = nn.Linear(8, outputs), [], 0

    def forward(self, X):
        self.rows.append(len(X))
        self.changed += len(X) if isinstance(X, ChangedTensor) else 0
        return torch.tanh(self.head(self.body(X).mean(2)))


def explain(model, X, **settings):
    return sl.saturation_mutagenesis(model, X, device="cpu", pairwise=True, **settings)


@torch.no_grad()
def one_by_one(model, X, start, end, most):
    """Return outputs for sequences, with one letter, and with two, letters before positions."""

    def output(x, *letters):
        x = x.clone().double()
        for letter, position in letters:
            if position < end:
                x[:, position] = torch.eye(len(x), dtype=x.dtype)[letter]
        return model(x[None])[0]

    every, positions = range(X.shape[1]), range(start, end)
    singles = [output(x, (a, i)) for x in X for a in every for i in positions]
    both = [output(x, (a, i), (b, i + d + 1)) for x in X for a in every for i in positions for b in every
            for d in range(most)]  # fmt: skip
    shape = len(X), len(every), end - start
    y0, singles = torch.stack([output(x) for x in X]), torch.stack(singles).view(*shape, -1)
    return y0, singles, torch.stack(both).view(*shape, len(every), most, -1)


def interactions(y0, singles, both):
    """Return the effects of both letters minus those of each alone, entry by entry."""
    found = torch.zeros_like(both)
    for n, a, i, b, d in torch.cartesian_prod(*map(torch.arange, both.shape[:5])).tolist():
        if i + d + 1 < both.shape[2]:
            found[n, a, i, b, d] = both[n, a, i, b, d] - singles[n, a, i] - singles[n, b, i + d + 1] + y0[n]
    return found


@settings(deadline=None, max_examples=15)
@given(
    letters=st.integers(2, 4), length=st.integers(2, 5), rows=st.integers(1, 2), batch_size=st.integers(1, 40),
    most=st.none() | st.integers(1, 5), seed=st.integers(0, 1000),
)  # fmt: skip
def test_pairs_equal_loops(letters, length, rows, batch_size, most, seed):
    model = Net(letters).double()
    codes = torch.randint(0, letters + 1, (rows, length), generator=torch.Generator().manual_seed(seed))
    X = nn.functional.one_hot(codes, letters + 1)[:, :, :letters].transpose(1, 2)
    start = seed % (length - 1)
    distances = min(most or length, length - start - 1)
    y0, singles, y_hat = one_by_one(model, X, start, length, distances)
    model.rows.clear()
    raw = explain(model, X, start=start, max_distance=most, batch_size=batch_size, raw_outputs=True)
    assert max(model.rows) <= batch_size
    torch.testing.assert_close(raw.y0, y0, rtol=0, atol=1e-14)
    torch.testing.assert_close(raw.y_hat, y_hat, rtol=0, atol=1e-14)
    wanted = interactions(y0, singles, y_hat)
    found = explain(model, X, start=start, max_distance=most, batch_size=batch_size, target=[1, 0])
    torch.testing.assert_close(found, wanted.movedim(-1, 1).flip(1), rtol=0, atol=1e-13)
    found = explain(model, X, start=start, max_distance=most, batch_size=batch_size)
    torch.testing.assert_close(found, wanted.mean(-1), rtol=0, atol=1e-13)


def test_pairs_by_windows_equal_whole_pairs(monkeypatch):
    monkeypatch.setattr(changed_mutants, "EACH_CALL", 0.0)
    monkeypatch.setattr(changed_mutants, "LEAST_WORK", 0.0)
    X, model = sl.random_one_hot((2, 4, 70), random_state=0), Net().double()
    X[1, :, 30] = 0
    chosen = {"start": 20, "end": 34, "max_distance": 4}
    found = explain(model, X, **chosen)
    assert model.changed > 2 * 14 * 4 * 9 * 0.8
    monkeypatch.setattr(changed_mutants, "FEWEST", 10**9)
    before = model.changed
    torch.testing.assert_close(found, explain(model, X, **chosen), rtol=0, atol=1e-12)
    assert model.changed == before


def test_substitutions_that_do_not_meet_do_not_interact():
    """A sum over positions of what each window of three gives: pairs further apart are additive."""
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv1d(4, 8, 3), nn.GELU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 1))
    found = explain(body.double(), sl.random_one_hot((1, 4, 20), random_state=0), max_distance=6)
    assert found.shape == (1, 4, 20, 4, 6)
    assert float(found[..., 2:].abs().max()) < 1e-14
    assert float(found[..., 0].abs().max()) > 1e-4
    assert float(found[..., 1].abs().max()) > 1e-4


def test_batches_hold_as_many_pairs_as_are_asked_for():
    grid = PairGrid(sl.random_one_hot((2, 4, 12), random_state=0), 2, 9, 3)
    batches = list(grid.batches(BatchSize(8, torch.device("cpu"))))
    assert torch.equal(torch.cat([places for places, _ in batches]), torch.arange(grid.shape.numel()))
    assert {int(new.sum()) for _, new in batches[:-1]} == {8}
    assert sum(int(new.sum()) for _, new in batches) == 2 * 9 * (6 + 5 + 4)


@pytest.mark.reliability(
    "Explaining a model",
    "pairs of mutations of a region of one position, at a distance of 0, or a distance without pairs",
    "an InputError says what was expected",
)
@pytest.mark.parametrize(
    ("settings", "message"),
    [({"start": 3, "end": 4}, "one position"), ({"max_distance": 0}, "expected 1 or more"),
     ({"max_distance": 2, "pairwise": False}, "expected pairwise=True")],
)  # fmt: skip
def test_pairs_that_are_none(settings, message):
    X = sl.random_one_hot((1, 4, 9), random_state=0)
    with pytest.raises(sl.InputError, match=message):
        sl.saturation_mutagenesis(Net(), X, device="cpu", **{"pairwise": True, **settings})
