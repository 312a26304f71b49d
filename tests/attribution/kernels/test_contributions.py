"""Compiled totals of contributions are those of the plain twin, for pairs and for parts of them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from multipliers import needs_loops, plain_rules
from seqlight.attribution.engine.layer_contributions import Activation
from seqlight.attribution.kernels.contributions import totals

pytestmark = needs_loops


@given(
    st.tuples(*[st.integers(1, 4)] * 3, st.integers(1, 40)),
    st.booleans(),
    st.sampled_from([torch.float32, torch.float64]),
    st.integers(2, 3),
)
def test_totals_are_those_of_plain_pytorch(shape, is_shared, dtype, kept):
    generator = torch.Generator().manual_seed(sum(shape))
    own = (1, *shape[1:]) if is_shared else shape
    m, x, r = (torch.randn(one, generator=generator, dtype=dtype) for one in (shape, own, shape))
    found = totals(m, x, r, kept)
    with plain_rules():
        plain = Activation(m, x, r).totals(kept)
    torch.testing.assert_close(found, plain)
    assert found.shape == shape[:kept]
    for k, i in torch.cartesian_prod(torch.arange(shape[0]), torch.arange(shape[1])).tolist():
        steps = m[k, i].double() * (x[0 if is_shared else k, i] - r[k, i])
        wanted = torch.stack([one.sum() for one in (steps if kept == 3 else [steps])])
        allowed = 1e-4 if dtype == torch.float32 else 1e-13
        torch.testing.assert_close(found[k, i].double().view(-1), wanted, rtol=0, atol=allowed)


def test_a_multiplier_that_is_one_number_for_all_positions():
    m, x, r = (
        torch.randn(2, 3, 1).double().expand(2, 3, 5),
        torch.randn(1, 3, 5).double(),
        torch.randn(2, 3, 5).double(),
    )
    torch.testing.assert_close(totals(m, x, r, 2), (m * (x - r)).sum(-1))


@pytest.mark.parametrize("x", [torch.randn(1, 3, 5).half(), torch.randn(1, 5, 3).mT])
def test_what_lies_otherwise_in_memory_is_left_to_the_plain_twin(x):
    r = torch.randn(2, 3, 5).to(x)
    assert totals(torch.randn(2, 3, 5).to(x), x, r, 2) is None
    torch.testing.assert_close(Activation(torch.ones_like(r), x, r).totals(), (x.float() - r.float()).sum(-1))


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (0, 1, 3, 2, 4), (0, 1, 4, 3, 2)])
def test_totals_of_heads_wherever_they_lie(order):
    back = torch.tensor(order).argsort().tolist()
    shape = torch.Size([2, 3, 4, 5, 6])
    m, x, r = (torch.randn([shape[d] for d in order]).double().permute(back) for _ in range(3))
    found = Activation(m, x, r).totals_of_heads()
    wanted = (m * (x - r)).sum(dim=(-1, -2))
    torch.testing.assert_close(found, torch.cat([wanted.sum(-1, keepdim=True), wanted], dim=-1))
