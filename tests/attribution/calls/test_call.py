"""Calls and their arguments; a snapshot notices if its tensor was overwritten."""

import pytest
import torch

from seqlight.attribution.calls.call import Call
from seqlight.attribution.calls.record import Snapshot
from seqlight.attribution.calls.retry import Overwritten


def test_an_overwritten_snapshot_raises():
    x = torch.zeros(3)
    recorded, copied = Snapshot.take(x, False), Snapshot.take(x, True)
    assert recorded.get().tolist() == [0, 0, 0]
    x[1:].add_(1)  # through a view
    with pytest.raises(Overwritten):
        recorded.get()
    assert copied.get().tolist() == [0, 0, 0]


def test_a_call_is_a_function_of_the_tensors_that_depend_on_the_input():
    x, c = torch.ones(2, requires_grad=True), torch.ones(2)
    call = Call.from_arguments("cat", torch.cat, ([x, c, x],), {"dim": 0})
    assert call.dependent == (0, 2)
    assert call(torch.zeros(2), torch.full((2,), 5.0)).tolist() == [0, 0, 1, 1, 5, 5]
    assert call.arguments()[1] == {"dim": 0}


def test_arguments_that_are_shapes_stay_whole():
    x = torch.ones(2, 3, requires_grad=True)
    call = Call.from_arguments("layer_norm", torch.layer_norm, (x, (3,)), {"eps": 1e-5})
    assert call.leaves[1:] == [(3,), 1e-5]
    assert call.arguments() == ((x, (3,)), {"eps": 1e-5})


def test_broadcasting_leaves_tensors_that_are_large_enough():
    x = torch.ones(2, 1, requires_grad=True)
    call = Call.from_arguments("maximum", torch.maximum, (x, torch.zeros(3)), {})
    assert call.broadcast().tensors[0].shape == (2, 3)
    same = Call.from_arguments("maximum", torch.maximum, (x, torch.zeros(1)), {})
    assert same.broadcast() is same
