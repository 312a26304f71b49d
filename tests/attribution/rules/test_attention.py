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
