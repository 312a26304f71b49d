from __future__ import annotations

import copy
import functools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import nn
from torch.utils.data import Dataset, TensorDataset

import seqlight as sl
from seqlight.results.fingerprints import describe_argument, digest_of_array, fingerprint_data, fingerprint_model
from seqlight.results.identity import arrays


def network(activation=nn.ReLU):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(4, 2, 3), activation(), nn.BatchNorm1d(2))


@given(hnp.arrays(np.int16, hnp.array_shapes(min_dims=0)), st.data())
def test_any_change_of_an_array_shows(array, data):
    digest = digest_of_array(array)
    assert (
        digest
        == digest_of_array(array.copy())
        == digest_of_array(torch.from_numpy(array.copy()))
        == digest_of_array(np.array(array, order="F"))
    )
    assert digest != digest_of_array(array.astype(np.int32))
    assert digest != digest_of_array(array[None])
    if array.size:
        other = array.copy().reshape(-1)
        other[data.draw(st.integers(0, array.size - 1))] ^= 1
        assert digest != digest_of_array(other.reshape(array.shape))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64, torch.bool])
def test_every_dtype_can_be_digested(dtype):
    assert digest_of_array(torch.ones(3, dtype=dtype)) != digest_of_array(torch.zeros(3, dtype=dtype))
    assert digest_of_array(torch.ones((), dtype=dtype)) != digest_of_array(torch.zeros((), dtype=dtype))


def test_very_large_arrays_are_sampled_and_say_so(monkeypatch):
    monkeypatch.setattr(arrays, "MOST_BYTES", 100)
    array = np.zeros((1000, 5), np.int16)
    digest = digest_of_array(array)
    assert digest.endswith(" of 10 of 1000 rows")
    for row in (0, 999):
        array[row] = 1
        assert digest_of_array(array) != digest
        array[row] = 0


def test_models():
    assert fingerprint_model(network()) == fingerprint_model(network())
    assert fingerprint_model(network()) == fingerprint_model(copy.deepcopy(network().train()))
    assert fingerprint_model(torch.compile(network(), backend="eager")) == fingerprint_model(network())
    changed = network()
    changed[2].running_mean[0] += 1e-6
    assert fingerprint_model(changed)["weights"] != fingerprint_model(network())["weights"]
    assert fingerprint_model(network(nn.GELU))["structure"] != fingerprint_model(network())["structure"]
    assert fingerprint_model(nn.ModuleList(network()))["class"] != fingerprint_model(network())["class"]


class Squares(Dataset):
    def __init__(self, n=100, wrong=None):
        self.n, self.wrong = n, wrong

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return torch.tensor(i * i + (i == self.wrong)), i


def test_data():
    assert fingerprint_data(Squares(), 100) == fingerprint_data(Squares(), 100)
    assert fingerprint_data(Squares(), 100).endswith("of 64 of them")
    assert fingerprint_data(Squares(), 100) != fingerprint_data(Squares(99), 99)
    assert fingerprint_data(Squares(), 100) != fingerprint_data(Squares(wrong=99), 100)
    assert fingerprint_data(Squares(0), 0) == fingerprint_data(Squares(0), 0)
    assert fingerprint_data(Squares(), 100, collate=lambda rows: rows) != fingerprint_data(
        Squares(), 100, collate=lambda rows: rows[0]
    )
    tensors = torch.zeros(1000, 2)
    whole = fingerprint_data(TensorDataset(tensors), 1000)
    tensors[7] = 1
    assert fingerprint_data(TensorDataset(tensors), 1000) != whole
    named = Squares()
    named.fingerprint = lambda: "hg38, version 3"
    assert fingerprint_data(named, 100) == "hg38, version 3"
    X = torch.zeros(5, 4, 3)
    assert fingerprint_data(X, 5) == fingerprint_data(X.numpy(), 5) == digest_of_array(X)
    assert fingerprint_data((X, X + 1), 5) != fingerprint_data((X, X), 5)


def other_functions():
    def adder(n):
        return lambda y: y + n

    return [
        lambda y: y[:, 0],
        lambda y: y[:, 1],
        lambda y: y.sum(1),
        lambda y: y.mean(1),
        lambda y: (lambda z: z + 1)(y),
        lambda y: (lambda z: z - 1)(y),
        adder(1),
        adder(2),
        functools.partial(torch.add, other=1),
        functools.partial(torch.add, other=2),
        torch.sigmoid,
        nn.Softmax(dim=1),
        nn.Softmax(dim=2),
        sl.shuffle,
        sl.dinucleotide_shuffle,
    ]


def test_functions_are_distinguished():
    first, second = ([repr(describe_argument(one)) for one in other_functions()] for _ in range(2))
    assert first == second
    assert len(set(first)) == len(first)


def test_arguments_are_json():
    found = describe_argument(
        {"a": (1, np.int64(2), None), torch.nn.ReLU: torch.float64, "c": sl.Contrast(0, torch.zeros(2))}
    )
    assert found["a"] == [1, 2, None]
    assert found["torch.nn.modules.activation.ReLU"] == "torch.float64"
    assert found["c"] == {"a": 0, "b": digest_of_array(torch.zeros(2))}
    assert "0x" not in describe_argument(object())
