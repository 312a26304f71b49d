"""Quotients of two operands: complete, and of the size of the difference, also where a divisor is next to nothing."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import seqlight as sl
from seqlight.attribution.rules.quotient import slopes

numbers = st.floats(-1e3, 1e3)
divisors = st.floats(1e-12, 1e3) | st.floats(-1e3, -1e-12)


@given(numbers, numbers, divisors, divisors)
def test_the_slopes_explain_the_difference(a1, a0, b1, b0):
    a1, a0, b1, b0 = (torch.tensor(one, dtype=torch.float64) for one in (a1, a0, b1, b0))
    by_dividend, by_divisor = slopes((a1, b1), (a0, b0))
    parts = by_dividend * (a1 - a0), by_divisor * (b1 - b0)
    # What cancels is rounded.
    size = max(abs(a1 / b1), abs(a0 / b0), *map(abs, parts))
    torch.testing.assert_close(sum(parts), a1 / b1 - a0 / b0, rtol=0, atol=1e-10 * float(size) + 1e-300)


@given(numbers, numbers, st.floats(1e-12, 1e3), st.floats(1e-12, 1e3))
def test_no_slope_is_steeper_than_the_larger_divisor_allows(a1, a0, b1, b0):
    a1, a0, b1, b0 = (torch.tensor(one, dtype=torch.float64) for one in (a1, a0, b1, b0))
    by_dividend, by_divisor = slopes((a1, b1), (a0, b0))
    largest = max(abs(a1 / b1), abs(a0 / b0))
    assert by_dividend <= 2 / max(b1, b0)
    assert by_divisor.abs() <= 2 * largest / max(b1, b0) * (1 + 1e-12)


@pytest.mark.parametrize("divisors", [(6e4, 5e4), (300, -300), (-6e4, -5e4)])
def test_sums_and_products_of_divisors_may_be_too_large_for_float16(divisors):
    pairs = [(400.0, divisors[0]), (-300.0, divisors[1])]
    half, exact = (
        slopes(*([torch.tensor(one, dtype=dtype) for one in pair] for pair in pairs))
        for dtype in (torch.float16, torch.float64)
    )
    for one, other in zip(half, exact, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-2, atol=1e-7)


NORMALISED = {
    "normalize": lambda h: F.normalize(h, dim=1),
    "norm": lambda h: h / (h.norm(dim=1, keepdim=True) + 1e-6),
    "linalg": lambda h: h / torch.linalg.vector_norm(h, dim=1, keepdim=True).clamp_min(1e-12),
    "std": lambda h: h / (h.std(1, keepdim=True) + 1e-6),
    "cosine of a constant": lambda h: F.cosine_similarity(h, torch.linspace(-1, 1, 6).to(h)[None, :, None], 1),
    "cosine": lambda h: F.cosine_similarity(h[:, :3], h[:, 3:], 1),
}


@pytest.mark.reliability(
    "operations",
    "vectors divided by their norms, and a reference whose vectors are zeros",
    "contributions of the size of the output difference, in float32 too",
)
@pytest.mark.parametrize("name", NORMALISED)
@pytest.mark.parametrize(("dtype", "most"), [("float64", 1e-12), ("float32", 1e-5)])
def test_vectors_of_zeros_that_are_normalised(name, dtype, most):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv1d(4, 6, 3, bias=False)

        def forward(self, X):
            y = NORMALISED[name](self.conv(X)).flatten(1)
            return (y * torch.linspace(1, 2, y.shape[1], dtype=y.dtype)).sum(1, keepdim=True)

    torch.manual_seed(0)
    model, X = Model(), sl.random_one_hot((3, 4, 12), random_state=0)
    references = torch.zeros(3, 1, 4, 12)
    found = sl.deep_lift_shap(model, X, references=references, dtype=dtype, device="cpu").sum(dim=1).double()
    with torch.no_grad():
        model.to(getattr(torch, dtype))
        difference = (model(X.to(getattr(torch, dtype))) - model(references[:, 0].to(getattr(torch, dtype))))[:, 0]
    assert (found.sum(1) - difference).abs().max() < most * found.abs().sum(1).max()
    assert found.abs().max() < 3 * difference.abs().max()


def test_divisors_of_both_signs_and_a_quotient_in_place(Around, incompleteness):
    assert incompleteness(Around(lambda h: h / (h.flip(1) + 0.01))) < 1e-9
    assert incompleteness(Around(lambda h: h.clone().div_(h.flip(1).abs() + 0.1))) < 1e-12
    assert incompleteness(Around(lambda h: torch.addcdiv(h, h.flip(1), h.abs() + 0.1, value=2))) < 1e-12
    assert incompleteness(Around(lambda h: torch.addcdiv(h, torch.ones_like(h), h.abs() + 0.1))) < 1e-12
