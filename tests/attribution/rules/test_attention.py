"""Attention is PyTorch's, whatever is asked of it."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from multipliers import plain_rules
from seqlight import deep_lift_shap, random_one_hot
from seqlight.attribution.kernels import memory_layout
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


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.mix, self.head = nn.Linear(4, 24), nn.Linear(8, 1)

    def forward(self, X):
        q, k, v = self.mix(X.mT).unflatten(2, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        return self.head(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2).mean(1))


@pytest.mark.parametrize("piece", [1, 2000, 10**6])
def test_the_softmax_of_many_scores_is_explained_piece_by_piece(piece, monkeypatch):
    X = random_one_hot((2, 4, 12), random_state=0)
    settings = {"n_shuffles": 5, "random_state": 0, "device": "cpu"}
    with plain_rules():
        expected = deep_lift_shap(TwoHeads(), X, **settings)
        monkeypatch.setattr(memory_layout, "LONG", 1)
        monkeypatch.setattr(attention, "PIECE", piece)
        assert torch.equal(deep_lift_shap(TwoHeads(), X, **settings), expected)
