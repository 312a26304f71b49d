"""What a mask picked is known for as long as each entry is changed on its own."""

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Call
from seqlight.attribution.engine.picked_entries import Picked, PickedEntries, are_equal, is_picking, is_putting
from seqlight.attribution.engine.twins import Twin

X = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
MASK = X > 0


def call(function, *args):
    return Call.from_arguments(function.__name__, function, args, {})


def test_calls_that_pick_and_put():
    assert is_picking(call(Tensor.__getitem__, X, MASK))
    assert is_picking(call(torch.masked_select, X, MASK))
    assert not is_picking(call(Tensor.__getitem__, X, MASK[:, 0]))
    assert not is_picking(call(Tensor.__getitem__, X, 0))
    assert is_putting(call(Tensor.__setitem__, X, MASK, X[MASK]))
    assert is_putting(call(Tensor.index_put_, X, (MASK,), X[MASK]))
    assert not is_putting(call(torch.where, MASK, X, X))


def test_two_masks():
    assert are_equal(MASK, X > 0)
    assert not are_equal(MASK, X > 1)
    assert not are_equal(MASK, MASK[0])


def test_entries_that_are_changed_one_by_one():
    entries, one, other, third = PickedEntries(), X[MASK], X[X > 0], X[X <= 0]
    assert not entries
    twin = Twin.of(X, id(X))
    entries.record(one, Picked(MASK, twin))
    entries.record(other, Picked(X > 0, twin))
    entries.record(third, Picked(X <= 0, twin))
    twins, mask = entries.changed(call(torch.mul, 2, one))
    assert twins == {1: twin}
    assert mask is MASK
    assert set(entries.changed(call(torch.add, one, other))[0]) == {0, 1}
    assert entries.changed(call(torch.tanh, one)) is not None
    assert entries.changed(call(torch.mul, one, torch.tensor(2.0))) is not None
    assert entries.changed(call(torch.cumsum, one, 0)) is None
    assert entries.changed(call(torch.add, one, torch.ones(len(one)))) is None
    assert entries.changed(call(torch.add, one[:1], third[:1])) is None
    assert entries.changed(call(torch.tanh, X)) is None
    one.mul_(2)
    assert entries.find(one) is None
