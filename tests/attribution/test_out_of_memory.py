"""Attributions where memory runs out, forward or backward: the same numbers in smaller batches."""

import contextlib
import functools
import gc
import time
import warnings
import weakref

import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight.errors import MemoryWarning, OutOfMemory
from seqlight.prediction.batch_size import MOST_ROWS
from small_memory import RowHog
from small_memory import _small_memory as _small_memory

X = sl.random_one_hot((9, 4, 12), random_state=0)
REFERENCES = sl.shuffle(X, n=5, random_state=0).double()
DRAWN = {"references": sl.shuffle, "n_shuffles": 5, "random_state": 0}
AUTO = {"references": sl.shuffle, "n_shuffles": "auto", "tolerance": 0.5, "max_shuffles": 30, "random_state": 0}


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(4, 3, 3), nn.ReLU(), nn.MaxPool1d(2), nn.GELU(), nn.Flatten(), nn.Linear(15, 2))


def captum(kind, model, baselines, device="cpu", **how):
    inputs, baselines = X.double().to(device), baselines.to(device)
    found = kind(model, **how).attribute(inputs, baselines, target=1, return_convergence_delta=True)
    return torch.cat([one.cpu().flatten() for one in found])


def explained(function, **settings):
    return lambda model, **how: function(model, X, **settings, **how)


METHODS = {
    "deep_lift_shap": explained(sl.deep_lift_shap, **DRAWN),
    "its multipliers and references": explained(
        sl.deep_lift_shap, target=[1, 0], raw_outputs=True, return_references=True, **DRAWN
    ),
    "attribute": explained(sl.attribute, target=[0, 1], multipliers=True, **DRAWN),
    "attribute with as many references as needed": explained(sl.attribute, multipliers=True, **AUTO),
    "attribute of an ensemble": lambda model, **how: sl.attribute(
        sl.Ensemble(model, "both"), X, multipliers=True, **DRAWN, **how
    ),
    "integrated_gradients": explained(sl.integrated_gradients, n_steps=3, **DRAWN),
    "DeepLift": lambda model, **how: captum(sl.DeepLift, model, REFERENCES[:, 0], **how),
    "DeepLiftShap": lambda model, **how: captum(sl.DeepLiftShap, model, REFERENCES, **how),
    "input_x_gradient": explained(sl.input_x_gradient, target=[0, 1]),
    "saturation_mutagenesis": explained(sl.saturation_mutagenesis, target=1),
    "its raw outputs": explained(sl.saturation_mutagenesis, raw_outputs=True),
}
DEVICE_METHODS = {
    "deep_lift_shap": functools.partial(sl.deep_lift_shap, target=[0, 1]),
    "attribute": functools.partial(sl.attribute, multipliers=True),
    "attribute with as many references as needed": functools.partial(sl.attribute, n_shuffles="auto", tolerance=5.0),
    "integrated_gradients": functools.partial(sl.integrated_gradients, n_steps=3),
    "saturation_mutagenesis": lambda model, X, random_state, **how: sl.saturation_mutagenesis(
        model, X, end=20, raw_outputs=True, **how
    ),
}
WITH_GRADIENTS = list(METHODS)[:-2]
CASES = [*((name, "forward") for name in METHODS), *((name, "backward") for name in WITH_GRADIENTS)]


def tensors(found):
    """Return what is to be the same of a result: all its tensors."""
    if isinstance(found, torch.Tensor):
        return [found]
    parts = found if isinstance(found, tuple) else vars(found).values()
    return [one for one in parts if isinstance(one, torch.Tensor)]


def assert_same(found, expected):
    assert tensors(expected)
    for one, other in zip(tensors(found), tensors(expected), strict=True):
        torch.testing.assert_close(one, other, equal_nan=True)


@pytest.mark.reliability(
    "accelerators",
    "attributions for which memory runs out in the middle of a call, forward or backward",
    "the same numbers in smaller batches, and one warning that names the size that worked",
)
@pytest.mark.parametrize(("method", "where"), CASES)
def test_attributions_are_the_same_where_memory_runs_out(method, where, small_memory):
    explain, model = METHODS[method], network().double()
    expected = explain(model)
    state = torch.get_rng_state()
    hog = RowHog(model, small_memory(3), where == "backward")
    with pytest.warns(MemoryWarning, match="needs more memory than [a-z:0-9]+ has: [23] at a time") as caught:
        found = explain(hog, device="cpu", batch_size=30)
    assert [one.filename for one in caught] == [__file__]
    assert_same(found, expected)
    assert hog.training
    assert all(one.requires_grad and one.grad is None for one in model.parameters())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.filterwarnings("ignore::seqlight.errors.ReferencesWarning")
@pytest.mark.parametrize("method", METHODS)
def test_the_size_is_learned(method, small_memory, monkeypatch):
    many = sl.random_one_hot((120, 4, 12), random_state=0)
    monkeypatch.setitem(globals(), "X", many)
    monkeypatch.setitem(globals(), "REFERENCES", sl.shuffle(many, n=5, random_state=0).double())
    explain, model = METHODS[method], network().double()
    expected = explain(model)
    hog = RowHog(model, small_memory(220))
    assert_same(explain(hog, device="cpu"), expected)
    # More than on a CPU that does not report its memory, and at most a share of what there is.
    assert 64 < max(hog.sizes) <= 128


@pytest.mark.parametrize("method", METHODS)
def test_a_single_row_that_does_not_fit(method, small_memory):
    model = network()
    hog = RowHog(model, small_memory(0))
    with pytest.raises(OutOfMemory, match="no room for a single row"):
        METHODS[method](hog, device="cpu")
    assert hog.training
    assert all(one.requires_grad for one in model.parameters())


@pytest.mark.reliability(
    "accelerators",
    "attributions on a device with less memory than a batch of the size that was asked for, or learned, needs",
    "the same numbers in smaller batches, and nothing that stays in use",
)
@pytest.mark.parametrize("asked", ["auto", 40])
@pytest.mark.parametrize("explain", DEVICE_METHODS.values(), ids=DEVICE_METHODS)
def test_a_device_whose_memory_runs_out(explain, asked, pretend):
    X = sl.random_one_hot((3, 4, 100), random_state=0)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(4, 16, 9), nn.ReLU(), nn.MaxPool1d(4), nn.GELU(), nn.Flatten(), nn.Linear(368, 2))
    expected = explain(model, X, device="pretend", random_state=0)
    gc.collect()
    time.sleep(0.05)  # a thread of autograd lets go of its last tensors a moment after a call
    used = torch.pretend.memory_allocated()
    with warnings.catch_warnings(record=True) as caught, pretend.memory_limit(500_000):
        warnings.simplefilter("always")
        found = explain(model, X, device="pretend", random_state=0, batch_size=asked)
    assert_same(found, expected)
    assert [one.category for one in caught] == [MemoryWarning] * (asked != "auto")
    deadline = time.monotonic() + 5
    while torch.pretend.memory_allocated() > used and time.monotonic() < deadline:
        time.sleep(0.01)
    assert torch.pretend.memory_allocated() <= used


def test_a_device_with_much_memory_gets_large_blocks(pretend):
    X, sizes = sl.random_one_hot((200, 4, 12), random_state=0), []
    model = network()
    model[0].register_forward_hook(lambda module, inputs, output: sizes.append(len(output)))
    found = sl.deep_lift_shap(model, X, device="pretend", **DRAWN)
    torch.testing.assert_close(found, sl.deep_lift_shap(network(), X, device="cpu", **DRAWN))
    assert sizes[1] == 6 * 5  # after 6 sequences, and before the 194 that are left
    assert max(sizes) == 194 * 5 <= MOST_ROWS


@pytest.mark.reliability(
    "accelerators",
    "memory that runs out while several blocks of sequences are recorded at once",
    "they are recorded one by one, and nothing of the failed attempt is in use meanwhile",
)
def test_sequences_are_recorded_one_block_at_a_time_where_memory_runs_out():
    alive = []

    class Recorded(nn.Module):
        def forward(self, X):
            assert [one for one in alive if one() is not None] == []
            if 1 < len(X) < 12:  # several sequences, but not the references of one
                y = X * 1
                alive.append(weakref.ref(y))
                raise torch.OutOfMemoryError("out of memory")
            return X.sum(dim=(1, 2), keepdim=True).flatten(1)

    X = sl.random_one_hot((20, 4, 12), random_state=0)
    model = nn.Sequential(Recorded(), nn.ReLU())
    sl.deep_lift_shap(model, X, references=sl.shuffle, n_shuffles=12, batch_size=12, device="cpu", random_state=0)
    assert alive


@pytest.mark.reliability(
    "accelerators",
    "a model that mixes rows, and memory for two rows at a time",
    "it is refused as ever: the check takes two rows where four do not fit",
)
@pytest.mark.parametrize("method", ["input_x_gradient", "saturation_mutagenesis", "integrated_gradients"])
def test_a_model_that_mixes_rows_is_refused_where_memory_is_short(method, small_memory):
    class Centred(nn.Module):
        def forward(self, X):
            y = X.double().flatten(1)
            return (y - y.mean(dim=0)).square().cumsum(dim=1)

    with pytest.raises(sl.UnsupportedOperation, match="changes with the other rows of its batch"):
        METHODS[method](RowHog(Centred(), small_memory(2)), device="cpu")


class BothStrands(nn.Module):
    """Joins both strands into one batch, so that references do not find their sequences by their rows."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv1d(4, 6, 5), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 26, 1))

    def forward(self, X):
        forward, reverse = self.layers(torch.cat([X, X.flip(1, 2)])).chunk(2)
        return torch.relu(forward + reverse)


@functools.cache
def of_both_strands(rows, n):
    """Return sequences and references of both strands, and their attributions where memory does not run out."""
    X = sl.random_one_hot((rows, 4, 30), random_state=0)
    how = {"references": sl.dinucleotide_shuffle(X, n=n, random_state=1), "device": "pretend"}
    return X, how, sl.attribute(BothStrands(), X, **how)


@pytest.mark.reliability(
    "accelerators",
    "memory that runs out when a block of sequences has to be explained again, since its references had wrong partners",
    "the same numbers in smaller batches",
)
@pytest.mark.parametrize("free", [45_000, 70_000])
@pytest.mark.parametrize("asked", [6, 9, 24])
def test_memory_runs_out_when_partners_were_wrong(asked, free, pretend):
    X, how, expected = of_both_strands(11, 3)
    assert (expected.deltas.abs() < 1e-6).all()
    with pretend.memory_limit(free), pytest.warns(MemoryWarning, match=f"a batch of {asked} rows needs more memory"):
        assert_same(sl.attribute(BothStrands(), X, batch_size=asked, **how), expected)


@pytest.mark.reliability(
    "accelerators",
    "memory for no more than the block that is explained again, while the next one is there already",
    "no block is lost: all results, or an error",
)
@pytest.mark.parametrize("free", [84_000, 86_000, 88_000, 90_000, 92_000, 100_000])
def test_no_block_is_lost(free, pretend):
    X, how, expected = of_both_strands(40, 20)
    with pretend.memory_limit(free), contextlib.suppress(OutOfMemory):
        assert_same(sl.attribute(BothStrands(), X, **how), expected)
