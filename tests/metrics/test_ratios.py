import math

import pytest
import torch

import seqlight as sl
from seqlight.metrics.ratios import Tally, mean_of, of_all, of_each, quotient, reduced, wide, widest


def test_a_ratio_of_sums_is_not_a_mean_of_ratios():
    tally = Tally(*torch.tensor([[1, 3, 0], [2, 3, 0]], dtype=torch.float64))
    assert float(of_all(tally)) == 0.8
    assert of_each(tally, nothing=7).tolist() == [0.5, 1, 7]
    assert torch.equal(reduced(tally, "none", 7), of_each(tally, 7))
    assert torch.equal(reduced(tally, "mean"), of_all(tally))
    assert float(of_all(mean_of(torch.tensor([1.0, 2.0, 6.0])))) == 3
    with pytest.raises(sl.InputError, match="reduction is 'sum': expected one of 'mean', 'none'"):
        reduced(tally, "sum")


def test_only_nothing_over_nothing_is_nothing():
    top = torch.tensor([0.0, 1.0, math.nan, 0.0, 2.0])
    found = quotient(top, torch.tensor([0.0, 0.0, 0.0, math.nan, 4.0]), nothing=5).tolist()
    assert found[:2] == [5, math.inf]
    assert all(map(math.isnan, found[2:4]))
    assert found[4] == 0.5


def test_sums_are_in_float64_where_there_is_one():
    assert widest(torch.device("cpu")) == widest(torch.device("cuda")) == torch.float64
    assert widest(torch.device("mps")) == torch.float32
    half = torch.ones(3, dtype=torch.float16, requires_grad=True)
    assert wide(half).dtype == torch.float64
    assert not wide(half).requires_grad
