"""What a call becomes when it is made of numbers in place of masks."""

import math

import pytest
import torch
from torch import Tensor

from seqlight.attribution.calls.call import Call
from seqlight.attribution.engine.twin_calls import choose_by_number, is_finite_choice, place_of_mask, repeatable

MASK, A, B = torch.tensor([True, False, True]), torch.tensor([1.0, 2.0, 3.0]), torch.tensor([4.0, 5.0, 6.0])


def call(function, *args, **kwargs):
    return Call.from_arguments(function.__name__, function, args, kwargs)


CHOICES = [
    (torch.where, (MASK, A, B), 0),
    (Tensor.where, (A, MASK, B), 1),
    (torch.masked_fill, (A, MASK, 9.0), 1),
    (Tensor.masked_fill_, (A, MASK, torch.tensor(9.0)), 1),
    (Tensor.__setitem__, (torch.ones(3, 2), MASK, 9.0), 1),
]


@pytest.mark.parametrize(("function", "args", "place"), CHOICES)
def test_a_choice_by_a_mask_is_that_by_a_number(function, args, place):
    of = call(function, *(one.clone() if isinstance(one, Tensor) else one for one in args))
    assert place_of_mask(of) == place
    assert is_finite_choice(of)
    numbers = [one.float() if one is of.leaves[place] else one for one in of.leaves]
    found = choose_by_number(of, place)(*(one.clone() if isinstance(one, Tensor) else one for one in numbers))
    expected = of()
    assert torch.equal(found, of.leaves[0] if expected is None else expected)


def test_what_is_no_choice_by_a_number():
    assert place_of_mask(call(torch.add, A, MASK)) is None
    assert place_of_mask(call(torch.where, A > 2, A, other=B)) is None
    assert place_of_mask(call(Tensor.__setitem__, A, torch.tensor([0]), 1.0)) is None
    assert place_of_mask(call(torch.mul, MASK, A)) == 0
    assert not is_finite_choice(call(torch.masked_fill, A, MASK, -math.inf))
    assert not is_finite_choice(call(Tensor.__setitem__, A, MASK, B[:2]))


@pytest.mark.parametrize(
    ("function", "x"),
    [
        (Tensor.float, MASK), (Tensor.long, MASK), (Tensor.bool, A - 1), (Tensor.int, A * 1.7), (Tensor.detach, A),
        (torch.logical_not, MASK), (torch.any, MASK), (torch.all, MASK), (torch.neg, A), (Tensor.relu_, A - 2),
    ],
)  # fmt: skip
def test_a_call_is_made_once_more_without_writing(function, x):
    before = x.clone()
    result = function(x.clone())
    again = repeatable(call(function, x), {0}, result)(x.float())
    assert torch.equal(again, result.float())
    assert torch.equal(x, before)
