import math

import pytest
import torch

import seqlight as sl
from seqlight.metrics.ratios import Tally, mean_tally, quotient, ratio_of_sums, reduce_tally, sum_dtype, to_sum_dtype


def test_a_ratio_of_sums_is_not_a_mean_of_ratios():
    tally = Tally(*torch.tensor([[1, 3, 0], [2, 3, 0]], dtype=torch.float64))
    assert float(ratio_of_sums(tally)) == 0.8
    assert reduce_tally(tally, "none", zero_division=7).tolist() == [0.5, 1, 7]
    assert torch.equal(reduce_tally(tally, "mean"), ratio_of_sums(tally))
    assert float(ratio_of_sums(mean_tally(torch.tensor([1.0, 2.0, 6.0])))) == 3
    with pytest.raises(sl.InputError, match="reduction is 'sum': expected one of 'mean', 'none'"):
        reduce_tally(tally, "sum")


def test_zero_division_is_only_for_0_over_0():
    top = torch.tensor([0.0, 1.0, math.nan, 0.0, 2.0])
    found = quotient(top, torch.tensor([0.0, 0.0, 0.0, math.nan, 4.0]), zero_division=5).tolist()
    assert found[:2] == [5, math.inf]
    assert all(map(math.isnan, found[2:4]))
    assert found[4] == 0.5


def test_sums_are_in_float64_where_there_is_one():
    assert sum_dtype(torch.device("cpu")) == sum_dtype(torch.device("cuda")) == torch.float64
    assert sum_dtype(torch.device("mps")) == torch.float32
    half = torch.ones(3, dtype=torch.float16, requires_grad=True)
    assert to_sum_dtype(half).dtype == torch.float64
    assert not to_sum_dtype(half).requires_grad
