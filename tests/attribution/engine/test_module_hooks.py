"""A hook for all modules that one thread calls, for as long as it is wanted."""

import threading
from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.utils import _pytree

from seqlight.attribution.engine.module_hooks import named_tensors, watch_modules

MODULE = nn.Linear(3, 2)
X = torch.zeros(1, 3)


def test_a_module_is_seen_before_and_after():
    seen = []
    with watch_modules(lambda *given: seen.append(given), before=True):
        MODULE(X)
    with watch_modules(lambda *given: seen.append(given)):
        y = MODULE(X)
    (first, (given,)), (second, _, returned) = seen
    assert first is second is MODULE
    assert given is X
    assert returned is y


def test_modules_of_another_thread_are_not_seen():
    seen = []
    with watch_modules(lambda *given: seen.append(given)):
        other = threading.Thread(target=MODULE, args=[X])
        other.start()
        other.join()
    assert not seen


def test_nothing_is_seen_after_an_error():
    seen = []
    with pytest.raises(ValueError, match="stop"), watch_modules(lambda *given: seen.append(given)):
        raise ValueError("stop")
    MODULE(X)
    assert not seen


class Output(OrderedDict):
    """An output as libraries make them: PyTorch knows how to flatten it, and not what its parts are called."""


class Cache:
    def __init__(self, *tensors):
        self.tensors = tensors


@dataclass
class Fields:
    h: torch.Tensor
    more: object = None


_pytree.register_pytree_node(Output, lambda one: (list(one.values()), list(one)), lambda values, names: None)
_pytree.register_pytree_node(Cache, lambda one: (list(one.tensors), None), lambda values, _: Cache(*values))


@pytest.mark.parametrize(
    ("given", "places"),
    [
        (X, [""]),
        ((X, [X, None]), ["[0]", "[1][0]"]),
        (namedtuple("Named", "h c")(X, (X,)), [".h", ".c[0]"]),
        (torch.ones(2, 2).max(dim=1), ["[0]", "[1]"]),
        (OrderedDict(h=X, n=3), ["['h']"]),
        ((3, Output(h=X, more=(X, X))), ["[1]['h']", "[1]['more'][0]", "[1]['more'][1]"]),
        (Fields(X, {"c": X}), [".h", ".more['c']"]),
        (Cache(X, X), ["[0]", "[1]"]),
        (nn.Linear(1, 1), []),
        (None, []),
    ],
)
def test_tensors_are_found_in_whatever_a_module_returns(given, places):
    assert [place for place, _ in named_tensors(given)] == places
