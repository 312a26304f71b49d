"""The values are those of the tensor, the gradient is that of its twin, and no call is made before it is needed."""

import gc
import weakref

import pytest
import torch

from seqlight.attribution.calls.call import Call
from seqlight.attribution.calls.retry import Overwritten
from seqlight.attribution.engine.twins import Replay, Twin, Twins, reveal
from seqlight.errors import UnsupportedOperation


def run(call, tensors):
    return call(*tensors)


def follow(function, twin, *more):
    """Return the twin of what a function returns."""
    call = Call(
        function.__name__, function, [None, *more], Call.from_arguments("", function, (0, *more), {}).structure, (0,)
    )
    return Twin(Replay(call, [twin]))


def live(n=3):
    return torch.arange(1.0, n + 1).double().requires_grad_() * 1


def test_values_and_gradients_come_from_different_tensors():
    x, hidden = live(), torch.full((3,), 7.0).double()
    y = reveal(hidden, x * 2, torch.float64)
    assert torch.equal(y, hidden)
    assert y.data_ptr() != hidden.data_ptr()
    assert torch.equal(torch.autograd.grad(y.sum(), x)[0], torch.full((3,), 2.0).double())
    assert reveal(torch.zeros(4), x, torch.float64) is None
    assert reveal(hidden, None, torch.float64) is None


@pytest.mark.parametrize(
    ("hidden", "met", "expected"),
    [
        (torch.bool, torch.float32, torch.float32),
        (torch.int64, torch.bfloat16, torch.bfloat16),
        (torch.float32, torch.float64, torch.float64),
        (torch.float64, torch.float32, torch.float64),
    ],
)
def test_it_has_the_digits_of_what_it_meets(hidden, met, expected):
    assert reveal(torch.ones(3).to(hidden), live(), met).dtype == expected


def test_calls_are_made_once_in_order_and_only_if_needed():
    made = []

    def sine(x):
        made.append("sin")
        return x.sin()

    def root(x):
        made.append("sqrt")
        return x.sqrt()

    x = live()
    first = follow(sine, Twin.of(x, id(x)))
    second, unused = follow(root, first), follow(sine, first)
    assert made == []
    y = second.resolve(run)
    assert made == ["sin", "sqrt"]
    assert second.resolve(run) is y
    assert unused.replay.results is None
    torch.testing.assert_close(torch.autograd.grad(y.sum(), x)[0], torch.cos(x) / 2 / torch.sqrt(torch.sin(x)))


def test_a_long_chain_needs_no_recursion():
    x = live()
    twin = Twin.of(x, id(x))
    for _ in range(3000):
        twin = follow(torch.neg, twin)
    assert torch.equal(twin.resolve(run), x)


def test_what_cannot_be_made_has_no_twin():
    x = live()
    failing = follow(torch.reshape, Twin.of(x, id(x)), (5, 5))
    assert failing.resolve(run) is None
    assert follow(torch.neg, failing).resolve(run) is None
    assert follow(torch.argsort, Twin.of(x, id(x))).resolve(run) is None

    def refuse(x):
        raise UnsupportedOperation("no rule")

    with pytest.raises(UnsupportedOperation):
        follow(refuse, Twin.of(x, id(x))).resolve(run)


def test_a_source_that_was_written_to():
    x = live()
    twin = Twin.of(x, id(x))
    x.mul_(2)
    with pytest.raises(Overwritten):
        twin.resolve(run)


def test_a_hidden_tensor_that_was_written_to_has_no_twin():
    twins, hidden, x = Twins(), torch.zeros(3), live()
    twin = Twin.of(x, id(x))
    twins.record(hidden, twin)
    assert twins.find(hidden) is twin
    assert twins.find(hidden.clone()) is None
    assert twins.find(3) is None
    hidden.add_(1)
    assert twins.find(hidden) is None


def test_twins_keep_no_tensor_alive():
    twins, hidden, x = Twins(), torch.zeros(3), live()
    twins.record(hidden, Twin.of(x, id(x)))
    gone = weakref.ref(x)
    del hidden, x
    gc.collect()
    assert gone() is None
