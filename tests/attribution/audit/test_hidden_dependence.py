"""Tensors that depend on the input without a gradient are identified by their memory."""

import numpy as np
import pytest
import torch

from seqlight.attribution.audit.hidden_dependence import (
    HiddenDependence,
    Origin,
    is_random,
    same_value,
    uses_shape_only,
)


def test_views_and_tensors_on_the_same_memory_have_the_same_origin():
    hidden, mask, origin = HiddenDependence(), torch.ones(3, 4), Origin("gt", "gate (Gate)")
    hidden.record_origin(mask, origin)
    for one in (mask, mask[1:], mask.view(12), mask.detach(), torch.from_numpy(mask.numpy())):
        assert hidden.origin(one) is origin
    for one in (mask.clone(), torch.ones(3, 4), 1.0, None, mask.clone().requires_grad_()):
        assert hidden.origin(one) is None
    assert hidden.first_origin([1, torch.zeros(2), mask.T]) is origin
    assert hidden.first_origin([]) is None


def test_recorded_memory_is_not_reused():
    hidden = HiddenDependence()
    for _ in range(20):
        hidden.record_origin(torch.zeros(1000), Origin("gt", ""))
        assert hidden.origin(torch.zeros(1000)) is None


@pytest.mark.parametrize(
    ("a", "b", "wanted"),
    [
        (torch.ones(2), torch.ones(2), True),
        (torch.tensor([torch.nan, 1]), torch.tensor([torch.nan, 1]), True),
        (torch.tensor([torch.nan, 1]), torch.tensor([torch.nan, 2]), False),
        (torch.ones(2), torch.ones(3), False),
        (torch.ones(2), torch.ones(2, dtype=torch.int64), False),
        (torch.tensor([True]), torch.tensor([False]), False),
        (1, 1, True),
        (1, 2, False),
        (True, 1, False),
        (float("nan"), float("nan"), True),
        ([1.0, 2.0], [1.0, 3.0], False),
        (slice(0, 2), slice(0, 3), False),
        (np.arange(3), np.arange(3), True),
        (np.arange(3), np.arange(4), False),
        (object(), object(), True),
        (None, None, True),
    ],
)
def test_same_value(a, b, wanted):
    assert same_value(a, b) is wanted


def test_kinds_of_functions_by_name():
    assert all(map(is_random, ["rand", "randn_like", "bernoulli", "normal_"]))
    assert not is_random("mul")
    assert all(map(uses_shape_only, ["zeros_like", "new_full"]))
    assert not any(map(uses_shape_only, ["rand_like", "mul"]))
