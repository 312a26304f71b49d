"""Predictions where memory runs out: the same rows, the same numbers, and the model as it was."""

import warnings

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import seqlight as sl
from seqlight.errors import BatchWarning, MemoryWarning, OutOfMemory
from small_memory import RowHog
from small_memory import _small_memory as _small_memory

X = sl.random_one_hot((50, 4, 12), random_state=0)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(4, 3, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Dropout(0.5), nn.Flatten())


class Stream(IterableDataset):
    def __iter__(self):
        return iter(X)


def dataset():
    return TensorDataset(X)


@pytest.mark.reliability(
    "accelerators",
    "predictions for which memory runs out in the middle of a call",
    "the same numbers in smaller batches, and one warning that names the size that worked",
)
@pytest.mark.parametrize("make", [lambda: X, dataset, Stream, lambda: DataLoader(dataset(), batch_size=20)])
def test_predictions_are_the_same_where_memory_runs_out(make, small_memory):
    model = network()
    expected = sl.predict(model, X, device="cpu")
    hog = RowHog(model, small_memory(7))
    with pytest.warns(MemoryWarning, match="20 rows needs more memory than [a-z:0-9]+ has: 5 at a time") as caught:
        found = sl.predict(hog, make(), batch_size=20, device="cpu")
    assert [one.filename for one in caught] == [__file__]
    torch.testing.assert_close(found, expected)
    assert hog.sizes[:4] == [20, 10, 5, 5]
    assert hog.training
    assert all(one.requires_grad for one in model.parameters())


@pytest.mark.parametrize("make", [lambda: X, dataset])
def test_predictions_are_the_same_in_batches_of_a_learned_size(make, small_memory):
    model, rows = network(), []
    expected = sl.predict(model, X, device="cpu")
    hog = RowHog(model, small_memory(200))
    found = sl.predict(hog, make(), func=lambda y: rows.append(len(y)) or y, device="cpu")
    torch.testing.assert_close(found, expected)
    assert rows == [32, 18]
    rows.clear()
    sl.predict(hog, X.repeat(4, 1, 1), func=lambda y: rows.append(len(y)) or y, device="cpu")
    assert rows[:3] == [32, 64, 64]


def test_what_comes_in_batches_of_others_is_learned_too(small_memory):
    hog = RowHog(network(), small_memory(1000))
    sl.predict(hog, Stream(), device="cpu")
    assert hog.sizes[:2] == [32, 18]
    hog.sizes.clear()
    sl.predict(hog, DataLoader(dataset(), batch_size=40), device="cpu")
    assert hog.sizes[:2] == [40, 10]


def test_further_inputs_and_func_keep_their_rows(small_memory):
    class Scaled(nn.Module):
        def forward(self, X, scale):
            return X.sum(dim=(1, 2)) * scale

    memory, scale = small_memory(7), torch.rand(50)

    def func(y):
        memory.hold(len(y))
        return y + 1

    with pytest.warns(MemoryWarning):
        found = sl.predict(Scaled(), X, (scale,), func, batch_size=50, device="cpu")
    torch.testing.assert_close(found, X.sum(dim=(1, 2)) * scale + 1)


@pytest.mark.reliability(
    "accelerators",
    "masks whose first rows alone look like one-hot sequences, in a batch that does not fit into memory",
    "the whole batch decides what they are, as if it had fitted",
)
def test_the_whole_batch_decides_how_its_parts_are_converted(small_memory):
    masks = torch.zeros(8, 4, 6, dtype=torch.bool)
    masks[:4, 1], masks[4:, :2] = True, True
    seen = set()

    class Masked(RowHog):
        def forward(self, X):
            self.memory.hold(len(X))
            seen.add(X.dtype)
            return X.sum(dim=(1, 2))

    with pytest.warns(MemoryWarning):
        found = sl.predict(Masked(None, small_memory(2)), TensorDataset(masks), batch_size=8, device="cpu")
    assert seen == {torch.bool}
    assert torch.equal(found, masks.sum(dim=(1, 2)))


def test_a_model_that_mixes_rows_is_named_where_memory_ran_out(small_memory):
    class Centred(nn.Module):
        def forward(self, X):
            y = X.float().flatten(1)
            return y - y.mean(dim=0)

    with pytest.warns(BatchWarning), pytest.warns(MemoryWarning):
        sl.predict(RowHog(Centred(), small_memory(7)), X, batch_size=20, device="cpu")


def test_a_row_that_does_not_fit_leaves_the_model_as_it_was(small_memory):
    model = network()
    before, state = {name: one.clone() for name, one in model.state_dict().items()}, torch.get_rng_state()
    with pytest.raises(OutOfMemory, match="no room for a single row"):
        sl.predict(RowHog(model, small_memory(0)), X, device="cpu")
    assert model.training
    assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


def test_the_progress_bar_counts_every_row_once(small_memory, capsys):
    with pytest.warns(MemoryWarning):
        sl.predict(RowHog(network(), small_memory(7)), X, batch_size=20, device="cpu", verbose=True)
    assert "50/50" in capsys.readouterr().err


@pytest.mark.reliability(
    "accelerators",
    "less memory than a batch of the size that was asked for, or learned, needs",
    "the same predictions, and nothing that stays in use",
)
@pytest.mark.parametrize("asked", ["auto", 50])
def test_a_device_whose_memory_runs_out(asked, pretend):
    X = sl.random_one_hot((50, 4, 100), random_state=0)
    model = nn.Sequential(nn.Conv1d(4, 32, 9), nn.ReLU(), nn.Flatten(), nn.Linear(32 * 92, 2))
    expected, used = sl.predict(model, X, device="cpu"), torch.pretend.memory_allocated()
    with warnings.catch_warnings(record=True) as caught, pretend.memory_limit(400_000):
        warnings.simplefilter("always")
        found = sl.predict(model, X, device="pretend", batch_size=asked)
    torch.testing.assert_close(found, expected)
    assert [one.category for one in caught] == [MemoryWarning] * (asked != "auto")
    assert torch.pretend.memory_allocated() == used


def test_a_device_with_much_memory_gets_large_batches(pretend):
    sizes = []
    X = sl.random_one_hot((3000, 4, 10), random_state=0)
    sl.predict(nn.Flatten(), X, func=lambda y: sizes.append(len(y)) or y, device="pretend")
    assert sizes[0] == 32
    assert max(sizes) == 1024


@pytest.mark.reliability(
    "accelerators",
    "a model that does not fit on the device",
    "one sentence that says so, and the model where it was",
)
def test_a_model_that_does_not_fit(pretend):
    model, used = nn.Sequential(nn.Linear(4, 100), nn.Linear(100, 10_000)), torch.pretend.memory_allocated()
    with (
        pretend.memory_limit(100_000),
        pytest.raises(OutOfMemory, match=r"^pretend:0 has no room for the parameters .*: expected .*'cpu'\.$"),
    ):
        sl.predict(model, torch.zeros(2, 4), device="pretend")
    assert {one.device.type for one in model.parameters()} == {"cpu"}
    assert all(one.requires_grad for one in model.parameters())
    assert torch.pretend.memory_allocated() == used
