"""Whether outputs differ by more than rounding."""

import pytest
import torch

from seqlight.prediction.row_independence.tolerance import FLOAT32, differs, reruns_differ


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_order_of_sums_makes_no_difference(dtype):
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randn(8, 500, generator=generator).to(dtype)
    assert not reruns_differ(numbers.sum(1), numbers.flip(1).sum(1))
    assert reruns_differ(numbers.sum(1), numbers[:, 50:].sum(1))


def test_differences_are_relative_to_the_spread_of_rows_and_to_size():
    wanted = torch.tensor([[1.0, 100.0]])
    apart = torch.tensor([0.5, 0.5])
    assert not differs(wanted + torch.tensor([0.005, 0.05]), wanted, apart, FLOAT32)
    assert differs(wanted + torch.tensor([0.05, 0.0]), wanted, apart, FLOAT32)
    assert differs(wanted + torch.tensor([0.0, 0.5]), wanted, apart, FLOAT32)


def test_nan_is_no_difference():
    wanted = torch.tensor([[float("nan"), float("inf")]])
    assert not differs(wanted, wanted, torch.zeros(2), FLOAT32)
    assert not reruns_differ(wanted, wanted)
