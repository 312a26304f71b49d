from __future__ import annotations

from types import SimpleNamespace

import lightning.pytorch as L
import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight_callbacks.explained_model import select_model


class Heads(nn.Module):
    """Return two outputs in one of the ways in which people do."""

    def __init__(self, kind):
        super().__init__()
        self.kind, self.body = kind, nn.Linear(80, 3)

    def forward(self, X):
        y = self.body(X.flatten(1))
        if self.kind == "tensor":
            return y
        pair = {"profile": y[:, :2], "counts": y[:, 2:]}
        return {"dict": pair, "tuple": tuple(pair.values()), "object": SimpleNamespace(**pair)}[self.kind]


class Module(L.LightningModule):
    """One that only trains."""

    def __init__(self, kind="dict"):
        super().__init__()
        self.net = Heads(kind)


class Forward(Module):
    def forward(self, X):
        return self.net(X)


X = torch.ones(2, 4, 20)


@pytest.mark.parametrize(("kind", "head"), [("dict", "counts"), ("tuple", 1), ("tuple", -1), ("object", "counts")])
def test_a_head(kind, head):
    module = Forward(kind)
    whole = module.net.body(X.flatten(1))
    assert torch.equal(select_model(module, head=head)(X), whole[:, 2:])
    assert torch.equal(select_model(module, "net", head)(X), whole[:, 2:])


def test_without_either_it_is_the_module_itself():
    module = Forward("tensor")
    assert select_model(module) is module
    assert select_model(module, "net.body") is module.net.body


@pytest.mark.parametrize(
    ("kind", "head", "message"),
    [
        ("dict", "count", "head is 'count', and the model returns a dict of 'profile', 'counts'"),
        ("tuple", 2, "head is 2, and the model returns a tuple of 2"),
        ("tuple", "counts", "head is 'counts', and the model returns a tuple of 2"),
        ("tuple", "count", "head is 'count', and the model returns a tuple of 2"),  # a method of tuples
        ("tensor", 0, "head is 0, and the model returns one tensor of shape"),
    ],
)
def test_no_such_head(kind, head, message):
    with pytest.raises(sl.InputError, match=message):
        select_model(Forward(kind), head=head)(X)


def test_no_such_module():
    with pytest.raises(sl.InputError, match=r"Module has no forward to explain: .* \(it has 'net'\)"):
        select_model(Module())
    with pytest.raises(sl.InputError, match="module is 'nets', and Module has no such submodule: it has 'net'"):
        select_model(Module(), "nets")
    with pytest.raises(sl.InputError, match="module is b'net', and Module has no such submodule"):
        select_model(Module(), b"net")


def test_it_is_found_out_before_the_training(toy):
    with pytest.raises(sl.InputError, match="has no forward to explain"):
        toy.attribution(2, n_shuffles=1).setup(toy.trainer(), Module(), "fit")
