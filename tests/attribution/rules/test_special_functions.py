"""Elementwise functions of our own, and those of which PyTorch knows half a derivative."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from seqlight import deep_lift_shap, random_one_hot
from seqlight.attribution.rules import special_functions
from seqlight.attribution.rules.elementwise import Rounding, secant
from seqlight.attribution.rules.special_functions import relu_secant, relu_slope, relu_vjp
from seqlight.errors import UnsupportedOperation

A, B = torch.rand(2, 3, dtype=torch.float64) + 1.5, torch.rand(3, dtype=torch.float64) + 1.5
NAMES = {"igamma": torch.igamma, "igammac": torch.igammac, "zeta": torch.special.zeta}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("first", [True, False])
def test_either_operand(name, first):
    a, b = (A.clone().requires_grad_(), B) if first else (A, B.clone().requires_grad_())
    torch.testing.assert_close(getattr(special_functions, name)(a, b), NAMES[name](A, B))


@pytest.mark.parametrize("name", NAMES)
def test_both_operands_are_refused(name, Around):
    model = Around(lambda h: NAMES[name](h.abs() + 2, h.flip(1).abs() + 2))
    with pytest.raises(UnsupportedOperation, match=f"{name} with two operands that depend on the input"):
        deep_lift_shap(model, random_one_hot((2, 4, 20), random_state=0), device="cpu", random_state=0)


@pytest.mark.parametrize(
    "function",
    [
        lambda h: torch.special.zeta(h.abs() + 2, 1.5),
        lambda h: torch.special.zeta(2.5, h.abs() + 1),
        lambda h: torch.igamma(h.abs() + 1, torch.ones(20).to(h)),
        lambda h: torch.special.gammaincc(torch.ones(1).to(h), h.abs()),
        torch.special.bessel_j0,
        torch.special.spherical_bessel_j0,
        lambda h: torch.special.hermite_polynomial_he(h, 4),
    ],
)
def test_they_add_up(function, Around, incompleteness):
    assert incompleteness(Around(function)) < 1e-9


ZERO_OR_NORMAL = st.floats(-(2.0**99), 2.0**99, width=32).filter(lambda one: one == 0 or abs(one) > 2.0**-99)


@given(
    hnp.arrays(np.float32, (2, 7), elements=ZERO_OR_NORMAL), hnp.arrays(np.float32, (3, 2, 7), elements=ZERO_OR_NORMAL)
)
def test_the_secant_of_relu_without_masks_has_the_bits_of_its_definition(x1, x0):
    x1, x0 = torch.from_numpy(x1), torch.from_numpy(x0)
    x0[1, :, ::2] = x1[:, ::2]
    wanted = secant(
        *(one.expand_as(x0).contiguous() for one in (x1, x1.relu(), relu_slope(x1, x1))),
        *(x0, x0.relu()),
        rounding=Rounding.NONE,
    )
    found = relu_secant(x1, x0)
    assert torch.equal(found, wanted)
    grad = torch.linspace(-1, 1, x0.numel()).view(6, 7)
    assert torch.equal(relu_vjp(grad, x1, x0.view(6, 7)), found.view(6, 7) * grad)


def test_relu_lets_nothing_through_where_an_input_is_hidden():
    x1, x0 = torch.tensor([-torch.inf, -torch.inf, -1.0]), torch.tensor([-torch.inf, 1.0, -torch.inf])
    assert relu_secant(x1, x0).tolist() == [0, 0, 0]


def test_references_whose_numbers_are_infinite_are_explained_like_others():
    """Each row by itself, and where a number is infinite by bounds in place of a quotient."""
    inf = torch.inf
    x1, x0 = torch.tensor([[1.0, -1.0, -inf]]), torch.tensor([[inf, inf, -inf], [0.0, 3.0, 1.0]])
    found = relu_vjp(torch.full_like(x0, 2.0), x1, x0)
    assert torch.equal(found, 2 * torch.cat([relu_secant(x1, one[None]) for one in x0]))
    assert not bool(found.isnan().any())
