"""Predictions, compared with the model called on all rows at once."""

from collections import namedtuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset, SequentialSampler, TensorDataset

import seqlight as sl
from seqlight.errors import InputError

pytestmark = pytest.mark.accelerator

Heads = namedtuple("Heads", "profile count")


class Model(nn.Module):
    """Returns another structure of outputs for each kind, from an input (rows, 4, length)."""

    def __init__(self, kind="plain"):
        super().__init__()
        torch.manual_seed(0)
        self.kind = kind
        self.conv = nn.Conv1d(4, 3, 3, padding=1)
        self.norm = nn.BatchNorm1d(3)
        self.drop = nn.Dropout(0.5)
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, X, scale=None, index=None):
        self.seen += len(X)
        y = self.drop(self.norm(self.conv(X)).relu())
        if scale is not None:
            y = y * scale[:, None, None]
        if index is not None:
            assert index.dtype == torch.int64
            y = y + nn.functional.one_hot(index, 3)[:, :, None]
        total = y.sum(dim=(1, 2))
        return {
            "plain": lambda: y,
            "total": lambda: total,
            "squeezed": lambda: y.sum(dim=2).squeeze(),
            "tuple": lambda: (y, total),
            "list": lambda: [y, [total]],
            "dict": lambda: {"y": y, "rest": {"total": total, "none": None}},
            "named": lambda: Heads(y, total),
        }[self.kind]()


KINDS = ["plain", "total", "tuple", "list", "dict", "named"]


def at_once(model, X, *args):
    model = type(model)(model.kind).eval()
    with torch.no_grad():
        return model(X.float(), *args)


def close(found, expected):
    assert type(found) is type(expected)
    if isinstance(expected, torch.Tensor):
        assert found.shape == expected.shape
        assert found.device.type == "cpu"
        assert not found.requires_grad
        torch.testing.assert_close(found, expected)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            close(found[key], expected[key])
    elif expected is not None:
        for one, other in zip(found, expected, strict=True):
            close(one, other)


class Rows(Dataset):
    def __init__(self, X):
        self.X = X

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        return self.X[i]


class Labelled(Rows):
    def __getitem__(self, i):
        return self.X[i], i


class Stream(IterableDataset):
    def __init__(self, X):
        self.X = X

    def __iter__(self):
        return iter(self.X)


SOURCES = {
    "tensor": lambda X, size: X,
    "dataset": lambda X, size: Rows(X),
    "labelled dataset": lambda X, size: Labelled(X),
    "tensor dataset": lambda X, size: TensorDataset(X),
    "iterable dataset": lambda X, size: Stream(X),
    "loader": lambda X, size: DataLoader(Rows(X), batch_size=size),
    "labelled loader": lambda X, size: DataLoader(Labelled(X), batch_size=size),
    "iterable loader": lambda X, size: DataLoader(Stream(X), batch_size=size),
    "batch sampler": lambda X, size: DataLoader(
        Rows(X), batch_sampler=BatchSampler(SequentialSampler(X), size, drop_last=False)
    ),
}


@settings(deadline=None)
@given(st.sampled_from(KINDS), st.sampled_from(list(SOURCES)), st.integers(1, 9), st.integers(1, 10), st.booleans())
def test_all_outputs_of_all_sources(kind, source, rows, batch_size, integers):
    X = sl.random_one_hot((rows, 4, 6), random_state=rows, dtype=torch.int8 if integers else torch.float32)
    before = X.clone()
    model = Model(kind)
    found = sl.predict(model, SOURCES[source](X, batch_size), batch_size=batch_size, device="cpu")
    close(found, at_once(model, X))
    assert torch.equal(X, before)
    assert model.seen == 0
    assert model.training


def test_a_loader_with_workers():
    X = sl.random_one_hot((7, 4, 6), random_state=0)
    loader = DataLoader(Rows(X), batch_size=2, num_workers=2)
    close(sl.predict(Model(), loader), at_once(Model(), X))


def test_a_loader_that_drops_its_last_batch():
    X = sl.random_one_hot((7, 4, 6), random_state=0)
    close(sl.predict(Model(), DataLoader(Rows(X), batch_size=3, drop_last=True)), at_once(Model(), X[:6]))


def test_a_loader_whose_length_is_wrong():
    X = sl.random_one_hot((6, 4, 6), random_state=0)
    for change in (lambda batch: batch[:1], lambda batch: batch.repeat(2, 1, 1)):
        loader = DataLoader(Rows(X), batch_size=2, collate_fn=lambda rows, change=change: change(torch.stack(rows)))
        expected = torch.cat([change(batch) for batch in X.split(2)])
        close(sl.predict(Model(), loader), at_once(Model(), expected))


@pytest.mark.parametrize("source", list(SOURCES))
def test_a_model_that_squeezes_its_last_batch_of_one_row(source):
    X = sl.random_one_hot((5, 4, 6), random_state=0)
    found = sl.predict(Model("squeezed"), SOURCES[source](X, 4), batch_size=4)
    close(found, at_once(Model("squeezed"), X))


@pytest.mark.parametrize("source", ["tensor", "loader", "iterable dataset"])
def test_further_inputs(source):
    X = sl.random_one_hot((7, 4, 6), random_state=0)
    scale, index = torch.rand(7), torch.arange(7) % 3
    found = sl.predict(Model(), SOURCES[source](X, 3), args=[scale.double(), index], batch_size=3)
    close(found, at_once(Model(), X, scale, index))


def test_func_is_applied_to_each_batch():
    X = sl.random_one_hot((7, 4, 6), random_state=0)
    sizes = []

    def func(y):
        sizes.append(len(y["y"]))
        return y["y"].sum(dim=2), y["rest"]["total"]

    found = sl.predict(Model("dict"), X, func=func, batch_size=3)
    expected = at_once(Model("dict"), X)
    close(found, (expected["y"].sum(dim=2), expected["rest"]["total"]))
    assert sizes == [3, 3, 1]


class Dtypes(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(24, 3)

    def forward(self, X, *args):
        self.met = [X.dtype, *(arg.dtype for arg in args)]
        return self.dense(X.flatten(1))


@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.int64, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_inputs_take_the_dtype_of_the_model_and_integer_args_keep_theirs(dtype, kind):
    model = Dtypes().to(kind)
    X = sl.random_one_hot((3, 4, 6), dtype=dtype)
    args = [torch.zeros(3, dtype=one) for one in (torch.int8, torch.int64, torch.bool, torch.float16, torch.float64)]
    assert sl.predict(model, X, args).dtype == kind
    assert model.met == [kind, torch.int8, torch.int64, torch.bool, kind, kind]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, "float16", "bfloat16"])
def test_half_precision_runs_under_autocast(dtype):
    torch.manual_seed(0)
    model = Dtypes()
    X = sl.random_one_hot((5, 4, 6), random_state=0)
    found = sl.predict(model, X, dtype=dtype, batch_size=2, device="cpu")
    kind = getattr(torch, dtype) if isinstance(dtype, str) else dtype
    assert found.dtype == kind
    assert model.met == [torch.float32]
    assert model.dense.weight.dtype == torch.float32
    with torch.no_grad():
        exact = model(X.float())
    assert 0 < (found.float() - exact).abs().max() < 0.02


@pytest.mark.parametrize("dtype", [torch.float64, "float64"])
def test_double_precision_converts_the_parameters(dtype):
    model = Dtypes()
    X = sl.random_one_hot((5, 4, 6), random_state=0)
    found = sl.predict(model, X, dtype=dtype)
    assert model.dense.weight.dtype == torch.float32
    with torch.no_grad():
        torch.testing.assert_close(found, model.double()(X.double()), rtol=1e-12, atol=1e-12)


def test_progress_is_shown_only_when_asked_for(capfd):
    X = sl.random_one_hot((9, 4, 6), random_state=0)
    sl.predict(Model(), X, batch_size=2)
    assert capfd.readouterr() == ("", "")
    sl.predict(Model(), X, batch_size=2, verbose=True)
    sl.predict(Model(), Stream(X), batch_size=2, verbose=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "9/9" in err
    assert "predict" in err


X5 = torch.rand(5, 4, 6)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"X": X5.numpy()}, r"X is a numpy\.ndarray: expected a torch\.Tensor; use torch\.from_numpy\(X\)\."),
        ({"X": X5[:0]}, r"X is empty, of shape \(0, 4, 6\): expected at least one row\."),
        ({"X": torch.tensor(1.0)}, r"X is empty, of shape \(\)"),
        ({"X": Rows(X5[:0])}, r"X is empty: expected at least one row\."),
        ({"X": Stream([])}, r"X is empty: expected at least one row\."),
        ({"X": DataLoader([{"X": 1}])}, r"a batch of X is a dict: expected a torch\.Tensor; convert it first\."),
        ({"X": DataLoader([1.0, 2.0], batch_size=None)}, r"a batch of X is a float"),
        ({"X": DataLoader(torch.ones(3), batch_size=None)}, r"a batch of X is a single number: expected rows; let"),
        ({"model": lambda X: X}, r"model is a function: expected a torch\.nn\.Module; wrap a function in one\."),
        ({"args": torch.rand(5)}, r"args is a Tensor: expected a tuple of tensors, one for each further input\."),
        ({"args": [1.0]}, r"args\[0\] is a float: expected a torch\.Tensor; convert it first\."),
        (
            {"args": [torch.rand(5), torch.rand(4)]},
            r"args\[1\] has shape \(4,\) and X 5 rows: expected a row",
        ),
        ({"args": [torch.tensor(1.0)]}, r"args\[0\] has shape \(\) and X 5 rows"),
        ({"args": [torch.rand(4)], "X": Stream(X5)}, r"args\[0\] has shape \(4,\) and X 5 rows"),
        ({"args": [torch.rand(6)], "X": Stream(X5)}, r"args\[0\] has shape \(6,\) and X 5 rows"),
        ({"batch_size": 0}, r"batch_size is 0: expected 1 or more\."),
        ({"batch_size": 2.5}, r"batch_size is 2\.5: expected a whole number\."),
        ({"dtype": "int8"}, r"dtype is 'int8': expected a floating-point torch\.dtype or its name"),
        ({"dtype": torch.int64}, r"dtype is torch\.int64: expected a floating-point"),
        ({"dtype": "half-ish"}, r"dtype is 'half-ish': expected"),
        ({"device": "gpu"}, r"device is 'gpu': expected one of this machine, such as 'cpu' \("),
        ({"func": lambda y: y.cpu().numpy()}, r"the model's output holds a ndarray: expected tensors"),
        (
            {"func": lambda y: y.sum()},
            r"the model turned 5 rows into an output of shape \(\): expected one row",
        ),
    ],
)
def test_arguments_that_are_refused(more, message):
    given_ = {"model": Model(), "X": X5, **more}
    with pytest.raises(InputError, match=message) as caught:
        sl.predict(given_.pop("model"), given_.pop("X"), **given_)
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)


class Writing(nn.Module):
    def forward(self, X, more):
        return X.mul_(2).flatten(1).sum(dim=1) + more.add_(1).squeeze(1)


@pytest.mark.reliability(
    "models of others", "a model that writes to its inputs, in predict", "the data stay as they were, in every dtype"
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int8])
def test_a_model_that_writes_to_its_inputs_does_not_write_to_the_data(dtype):
    X, more = sl.random_one_hot((3, 4, 5), random_state=0).to(dtype), torch.ones(3, 1)
    before = X.clone()
    for _ in range(2):
        assert sl.predict(Writing(), X, args=(more,), device="cpu", batch_size=2).tolist() == [12.0] * 3
    assert torch.equal(X, before)
    assert torch.equal(more, torch.ones(3, 1))
