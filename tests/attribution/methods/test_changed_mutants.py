"""Saturation mutagenesis that computes what a mutation changes, against that which computes each mutant in full."""

import pytest
import torch
from tests.fixtures.followed_models import Lambda, c, written_views
from torch import nn

import seqlight as sl
from seqlight.attribution.methods import changed_mutants
from seqlight.attribution.methods.changed_mutants import ChangedMutants
from seqlight.prediction.changed_windows.changed_tensor import ChangedTensor

LENGTH = 80


class Net(nn.Module):
    """A convolutional network that counts its whole and its changed rows, and reads a further input."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(c(4, 32, 5, padding=2), nn.GELU(), nn.MaxPool1d(2), c(32, 32, 3), nn.ReLU())
        self.head = nn.Linear(32, 3)
        self.whole, self.changed = 0, 0

    def forward(self, X, extra=None):
        if isinstance(X, ChangedTensor):
            self.changed += len(X)
        else:
            self.whole += len(X)
        y = self.head(self.body(X).mean(2))
        return y if extra is None else y * extra


@pytest.fixture(autouse=True)
def cheap_calls(monkeypatch):
    """Lets small networks pay."""
    monkeypatch.setattr(changed_mutants, "EACH_CALL", 0.0)
    monkeypatch.setattr(changed_mutants, "LEAST_WORK", 0.0)


@pytest.fixture
def X():
    X = sl.random_one_hot((3, 4, LENGTH), random_state=0)
    X[1, :, 5:7] = 0
    return X


def both_ways(monkeypatch, model, X, **settings):
    """Return attributions by windows, and in full."""
    settings = {"device": "cpu", **settings}
    found = sl.saturation_mutagenesis(model, X, **settings)
    with monkeypatch.context() as patch:
        patch.setattr(changed_mutants, "FEWEST", 10**9)
        return found, sl.saturation_mutagenesis(model, X, **settings)


@pytest.mark.parametrize(
    "settings",
    [{}, {"target": [1, 0], "hypothetical": True}, {"start": 7, "end": 40, "batch_size": 7}, {"batch_size": 100},
     {"target": lambda y: y[:, 0] - y[:, 2]}, {"func": lambda y: y.softmax(1)[:, :2]},
     {"args": [torch.arange(1.0, 4.0).view(3, 1).double()], "target": 2}, {"batch_size": 80},
     {"start": 61, "batch_size": 33}],
)  # fmt: skip
def test_attributions_are_those_of_whole_mutants(monkeypatch, X, settings):
    model = Net().double()
    found, wanted = both_ways(monkeypatch, model, X, **settings)
    assert model.changed > 100
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-10)


def test_float32_is_equal_to_rounding(monkeypatch, X):
    model = Net()
    found, wanted = both_ways(monkeypatch, model, X, target=0)
    assert model.changed > 100
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


def test_raw_outputs_keep_their_structure(monkeypatch, X):
    model = Lambda(lambda x, net: {"a": (y := net(x)), "b": [y[:, 0], None]}, Net()).double()
    found, wanted = both_ways(monkeypatch, model, X, raw_outputs=True, batch_size=11)
    assert model.parts[0].changed > 100
    assert found.y_hat["b"][1] is None
    for a, b in ((found.y_hat["a"], wanted.y_hat["a"]), (found.y_hat["b"][0], wanted.y_hat["b"][0])):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


def test_a_model_that_squeezes(monkeypatch, X):
    model = Lambda(lambda x, net: net(x)[:, 0].squeeze(), Net()).double()
    found, wanted = both_ways(monkeypatch, model, X[:1], batch_size=41)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-10)


def test_few_rows_are_whole(X):
    model = Net().double()
    sl.saturation_mutagenesis(model, X, device="cpu")
    assert model.whole <= len(X) + 5 + 2  # the sequences, the check of rows, and the trial
    # The trial takes each of its two twice, in both kinds of windows; the two of unknown characters have four letters.
    assert model.changed == 2 * 2 * 2 + 3 * 3 * LENGTH + 2


@pytest.mark.parametrize(("part", "tried"), [(nn.Softmax(2), 0), (nn.Conv1d(4, 4, 75, padding=37), 4)])
def test_where_everything_changes_nothing_is_followed(X, part, tried):
    model = Lambda(lambda x, net, part: net(part(x)), Net(), part).double()
    sl.saturation_mutagenesis(model, X[:1], device="cpu")
    assert model.parts[0].changed == tried  # at the end of the sequence, where half as much changes
    assert model.parts[0].whole > 3 * LENGTH


def test_calls_cost(monkeypatch, X):
    monkeypatch.setattr(changed_mutants, "EACH_CALL", 1e8)
    model = Net().double()
    sl.saturation_mutagenesis(model, X, device="cpu")
    assert model.changed == 2 * 2 * 2  # of the trial


def test_small_jobs_have_no_trial(monkeypatch, X):
    monkeypatch.undo()
    model = Net().double()
    sl.saturation_mutagenesis(model, X, device="cpu")
    assert model.changed == 0


@pytest.mark.reliability(
    "Explaining a model",
    "a model writes to a tensor of which it holds another view, under saturation mutagenesis by windows",
    "every mutant is computed in full, with the right result",
)
def test_a_model_that_cannot_be_followed(monkeypatch, X):
    model = Lambda(lambda x, net, a: net(written_views(x, a)), Net(), c(4, 4, 3)).double()
    found, wanted = both_ways(monkeypatch, model, X[:1])
    assert torch.equal(found, wanted)


@pytest.mark.reliability(
    "Explaining a model",
    "the outputs of the first mutants by windows are not those of the whole mutants",
    "every mutant is computed in full, with the right result",
)
def test_a_wrong_trial(monkeypatch, X):
    model = Lambda(lambda x, net: net(x) + isinstance(x, ChangedTensor), Net()).double()
    found, wanted = both_ways(monkeypatch, model, X[:1])
    assert torch.equal(found, wanted)
    assert model.parts[0].changed == 2 * 2 * 2


@pytest.mark.reliability(
    "Explaining a model",
    "a model fails on a later batch of mutants by windows, and not on whole mutants",
    "the rest is computed in full, with the right result",
)
def test_a_late_failure(monkeypatch, X):
    def fails(x, net):
        if isinstance(x, ChangedTensor) and net.changed > 90:
            raise RuntimeError("no more")
        return net(x)

    model = Lambda(fails, Net()).double()
    found, wanted = both_ways(monkeypatch, model, X)
    assert 90 < model.parts[0].changed < 150
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-10)


def test_no_trial_for_few_mutants_or_half_precision(X):
    for settings in ({"end": 20}, {"batch_size": 1}, {"dtype": "bfloat16"}):
        model = Net()
        sl.saturation_mutagenesis(model, X[:1], device="cpu", **settings)
        assert model.changed == 0
    assert ChangedMutants.__doc__


def test_more_mutants_than_a_batch_where_windows_take_less_memory(monkeypatch, X):
    seen = []

    def note(x, net):
        seen.append((isinstance(x, ChangedTensor), len(x)))
        return net(x)

    model = Lambda(note, Net()).double()
    monkeypatch.setattr(changed_mutants, "WORTH", 100.0)  # each mutant has its own window
    found, wanted = both_ways(monkeypatch, model, X, batch_size=10)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-10)
    assert max(rows for changed, rows in seen if changed) == 40
    assert max(rows for changed, rows in seen if not changed) == 10
    seen.clear()
    wide = Lambda(lambda x, net: net(x) + 0 * x.sum((1, 2), keepdim=True)[:, 0].repeat(1, 3000)[:, :3], Net()).double()
    model = Lambda(note, wide).double()
    both_ways(monkeypatch, model, X, batch_size=10)  # what follows takes as much memory as a whole mutant
    assert max(rows for changed, rows in seen if changed) == 10


@pytest.mark.reliability(
    "Explaining a model",
    "windows of more mutants than a batch has fail amid saturation mutagenesis",
    "the rest is computed in full, in batches of the size that was asked for, with the right result",
)
def test_whole_mutants_after_a_failure_are_as_many_as_asked_for(monkeypatch, X):
    rows = []

    def fails(x, net):
        if not isinstance(x, ChangedTensor):
            rows.append(len(x))
        elif net.changed > 300:
            raise RuntimeError("no more")
        return net(x)

    model = Lambda(fails, Net()).double()
    monkeypatch.setattr(changed_mutants, "WORTH", 100.0)
    found, wanted = both_ways(monkeypatch, model, X, batch_size=10)
    assert max(rows) == 10
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-10)
