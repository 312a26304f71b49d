"""Each loss is that of PyTorch, whatever is asked of it, and adds up where both operands depend on the input."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from seqlight.attribution.rules import losses
from seqlight.attribution.rules.table import LOSSES

torch.manual_seed(0)
X, Y, Z = (torch.randn(5, 6, dtype=torch.float64) for _ in range(3))
P, Q = X.sigmoid(), torch.where(torch.rand(5, 6) < 0.2, 0.0, Y.sigmoid())
SIGNS = torch.where(torch.rand(5, 6) < 0.5, -1.0, 1.0).double()
CLASSES, WEIGHTS = torch.tensor([3, 0, 5, -100, 1]), torch.rand(6, dtype=torch.float64)
COUNTS = torch.randint(0, 5, (5, 6)).double()
LISTS = torch.tensor([[3, 1, -1, 3, 0, 0], [-1] * 6, [0, 1, 2, 3, 4, 5], [5, -1, 2, 2, 2, 2], [2, 2, 4, -1, 0, 0]])

CASES = [
    ("l1_loss", (X, Y), {}),
    ("mse_loss", (X, Y), {}),
    ("smooth_l1_loss", (X, Y), {"beta": 0.4}),
    ("huber_loss", (X, Y), {"delta": 0.7}),
    ("soft_margin_loss", (X, SIGNS), {}),
    ("kl_div", (X, Q), {}),
    ("kl_div", (X, Y), {"log_target": True}),
    ("binary_cross_entropy", (P, Q), {}),
    ("binary_cross_entropy", (P.round(), Q, WEIGHTS), {}),
    ("binary_cross_entropy_with_logits", (X, Q), {}),
    ("binary_cross_entropy_with_logits", (X, Q, WEIGHTS, WEIGHTS + 1), {}),
    ("poisson_nll_loss", (X, COUNTS, True, True, 1e-8), {}),
    ("poisson_nll_loss", (P, COUNTS, False, False, 1e-3), {}),
    ("hinge_embedding_loss", (X, SIGNS, 0.3), {}),
    ("margin_ranking_loss", (X, Y, SIGNS, 0.2), {}),
    ("cosine_embedding_loss", (X, Y, SIGNS[:, 0], 0.1), {}),
    ("triplet_margin_loss", (X, Y, Z), {}),
    ("triplet_margin_loss", (X, Y, Z, 0.5, 1.0, 1e-3, True), {}),
    ("multi_margin_loss", (X, CLASSES.abs() % 6), {}),
    ("multi_margin_loss", (X, CLASSES.abs() % 6, 2, 0.4, WEIGHTS), {}),
    ("multi_margin_loss", (X[0], torch.tensor(2)), {}),
    ("multi_margin_loss", (X[0], torch.tensor([2])), {}),
    ("multilabel_margin_loss", (X, LISTS), {}),
    *(
        ("cross_entropy_loss", (X, target, weight), {"label_smoothing": smoothing})
        for target in (CLASSES, Y.softmax(1))
        for weight in (None, WEIGHTS)
        for smoothing in (0.0, 0.2)
    ),
    ("cross_entropy_loss", (X.T.reshape(3, 2, 5), torch.randint(0, 2, (3, 5))), {"label_smoothing": 0.1}),
    ("cross_entropy_loss", (X[0], torch.tensor(2)), {}),
    ("cross_entropy_loss", (X[0], Y[0].softmax(0)), {}),
]


@pytest.mark.parametrize("case", CASES, ids=[f"{i}-{one[0]}" for i, one in enumerate(CASES)])
@pytest.mark.parametrize("reduction", [0, 1, 2])
def test_the_same_values(case, reduction):
    name, args, kwargs = case
    theirs = next(one for one in LOSSES if one.__name__ == name)
    found = getattr(losses, name)(*args, reduction=reduction, **kwargs)
    torch.testing.assert_close(found, theirs(*args, reduction=reduction, **kwargs), rtol=1e-10, atol=1e-12)


OF_TWO = {
    "l1": lambda a, b: F.l1_loss(a, b, reduction="none"),
    "l1, weighted": lambda a, b: F.l1_loss(a, b, weight=torch.full_like(a, 0.3)),
    "mse, weighted": lambda a, b: F.mse_loss(a, b, weight=torch.linspace(0, 1, a.numel()).to(a).view(a.shape)),
    "smooth l1": lambda a, b: F.smooth_l1_loss(a, b, beta=0.2),
    "smooth l1, beta of 0": lambda a, b: F.smooth_l1_loss(a, b, beta=0.0, reduction="sum"),
    "huber": lambda a, b: F.huber_loss(a, b, reduction="sum", delta=0.3),
    "huber, module": nn.HuberLoss(reduction="none"),
    "kl": lambda a, b: F.kl_div(a.log_softmax(0), b.softmax(0), reduction="batchmean"),
    "kl, both in logarithms": lambda a, b: F.kl_div(
        a.log_softmax(0), b.log_softmax(0), reduction="sum", log_target=True
    ),
    "bce": lambda a, b: F.binary_cross_entropy(a.sigmoid(), b.sigmoid()),
    "bce with logits": lambda a, b: F.binary_cross_entropy_with_logits(a, b.sigmoid()),
    "poisson": lambda a, b: F.poisson_nll_loss(a, b.exp(), full=True),
    "gaussian": lambda a, b: F.gaussian_nll_loss(a, b, a.abs() + 0.1),
    "cosine": lambda a, b: F.cosine_embedding_loss(a, b, torch.ones(len(a)).to(a)),
    "triplet": lambda a, b: F.triplet_margin_loss(a, b, a.flip(0)),
    "triplet with a distance": lambda a, b: F.triplet_margin_with_distance_loss(a, b, a.flip(0), swap=True),
    "ranking": lambda a, b: F.margin_ranking_loss(a, b, torch.ones_like(a), margin=0.1, reduction="none"),
    "cross entropy": lambda a, b: F.cross_entropy(a, b.softmax(1), label_smoothing=0.1),
    "cross entropy of classes": lambda a, b: F.cross_entropy(a + b, torch.arange(len(a)) % a.shape[1]),
    "multi margin": lambda a, b: F.multi_margin_loss(a + b, torch.arange(len(a)) % a.shape[1]),
    "soft margin": lambda a, b: F.soft_margin_loss(a * b, torch.ones_like(a)),
    "hinge": lambda a, b: F.hinge_embedding_loss(a * b, torch.ones_like(a)),
    "multilabel": lambda a, b: F.multilabel_soft_margin_loss(a, b.sigmoid()),
}


@pytest.mark.parametrize("name", OF_TWO)
def test_they_add_up(name, engine_gap):
    torch.manual_seed(0)
    x, r = torch.randn(2, 6, 8, dtype=torch.float64), torch.randn(3, 2, 6, 8, dtype=torch.float64)

    def function(x):
        return torch.stack([OF_TWO[name](row, 1.2 * row.flip(1) - 0.1) for row in x])

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "reduction: 'mean'")
        # Row by row: each sequence on its own.
        assert (
            max(engine_gap(function, x[i : i + 1], r[k : k + 1, i : i + 1]) for i in range(2) for k in range(3)) < 1e-9
        )
