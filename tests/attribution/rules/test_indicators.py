"""Truth values as numbers: those of PyTorch's comparisons and logic, and complete as functions of what is compared."""

import operator

import pytest
import torch

from seqlight.attribution.rules import indicators
from seqlight.attribution.rules.comparisons import NAMES

A = torch.tensor([-2.0, -1.0, 0.0, -0.0, 1.0, 5e-324, torch.inf]).double()
B = torch.tensor([-1.0, -1.0, -0.0, 1.0, 0.0, 0.0, 3.0]).double()
TRUE = torch.tensor([True, True, False, False])
OTHER = torch.tensor([True, False, True, False])


@pytest.mark.parametrize("name", sorted(NAMES))
def test_comparisons_are_those_of_pytorch(name):
    function = getattr(torch.Tensor, name)
    for a, b in ((A, B), (A, 0.0), (A, -1)):
        assert torch.equal(indicators.compare(name, a, b), function(a, b).double())


def test_of_truth_values():
    assert indicators.compare("eq", TRUE.double(), True).tolist() == TRUE.tolist()
    assert indicators.compare("ne", TRUE.double(), OTHER).tolist() == (TRUE != OTHER).tolist()


@pytest.mark.parametrize(
    ("name", "function"),
    [("and_", indicators.both), ("or_", indicators.either), ("xor", indicators.unlike)],
)
def test_logic_is_that_of_pytorch(name, function):
    expected = getattr(operator, name)(TRUE, OTHER).double()
    for other in (OTHER, OTHER.double()):
        assert torch.equal(function(TRUE.double(), other), expected)
    assert torch.equal(function(TRUE.double(), True), getattr(operator, name)(TRUE, True).double())
    assert torch.equal(indicators.negate(TRUE.double()), (~TRUE).double())


def test_a_choice_is_where():
    a, b = torch.randn(2, 4, dtype=torch.float64)
    assert torch.equal(indicators.choice(TRUE.double(), a, b), torch.where(TRUE, a, b))
    assert torch.equal(indicators.choice(TRUE.double(), 2.5, b), torch.where(TRUE, 2.5, b))
    assert indicators.choice(TRUE.double(), 1.0, 0.0).dtype == torch.float64
