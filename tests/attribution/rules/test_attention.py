"""Attention is PyTorch's, whatever is asked of it."""

import pytest
import torch
from torch.nn import functional as F

from seqlight.attribution.rules import attention

torch.manual_seed(0)
Q, K, V = (torch.randn(2, 4, n, 3, dtype=torch.float64) for n in (6, 5, 5))

CASES = [
    (attention.scaled_dot_product_attention, F.scaled_dot_product_attention, (Q, K, V), {}),
    (attention.scaled_dot_product_attention, F.scaled_dot_product_attention, (Q, K, V), {"is_causal": True}),
    (
        attention.scaled_dot_product_attention,
        F.scaled_dot_product_attention,
        (Q, K, V, torch.randn(6, 5).double()),
        {"scale": 0.3},
    ),
    (
        attention.scaled_dot_product_attention,
        F.scaled_dot_product_attention,
        (Q, K, V, torch.rand(2, 1, 6, 5) > 0.2),
        {},
    ),
    (
        attention.scaled_dot_product_attention,
        F.scaled_dot_product_attention,
        (Q, K[:, :2], V[:, :2]),
        {"enable_gqa": True},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[f"{i}-{one[0].__name__}" for i, one in enumerate(CASES)])
def test_the_same_values(case):
    ours, theirs, args, kwargs = case
    torch.testing.assert_close(ours(*args, **kwargs), theirs(*args, **kwargs), rtol=1e-12, atol=1e-12)


@pytest.mark.reliability(
    "accelerators",
    "attention with a mask that hides every key from some queries, on an accelerator",
    "nothing waits for the device to find out, and these queries get zeros, as on the CPU",
)
def test_a_mask_does_not_wait(pretend):
    mask = torch.zeros(6, 6)
    mask[2] = -torch.inf
    q = torch.randn(2, 6, 4)
    there, mask_there = q.to("pretend").requires_grad_(), mask.to("pretend")
    with pretend.counted() as counts:
        y = attention.scaled_dot_product_attention(there, there, there, mask_there)
    assert not counts.waits
    torch.testing.assert_close(y.detach().cpu(), F.scaled_dot_product_attention(q, q, q, mask))
