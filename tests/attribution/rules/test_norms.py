"""Each composition is the operation that it is written for, and has a slope where a distance is 0."""

import math

import pytest
import torch
from torch.nn import functional as F

from seqlight.attribution.rules import norms as d

torch.manual_seed(0)
X, Y = torch.randn(2, 6, 5, dtype=torch.float64), torch.randn(2, 4, 5, dtype=torch.float64)

CASES = [
    *((d.vector_norm, torch.linalg.vector_norm, (X, order, 1), {}) for order in (1, 2, 3, 0.5, math.inf)),
    (d.vector_norm, torch.linalg.vector_norm, (X, 2, (0, 1), True), {}),
    (d.vector_norm, torch.linalg.vector_norm, (X,), {}),
    (d.vector_norm, torch.linalg.vector_norm, (X[0, 0, 0], 2, 0), {}),
    (d.vector_norm, torch.linalg.vector_norm, (torch.complex(X, X.flip(0)), 3, 1), {}),
    *((d.linalg_norm, torch.linalg.norm, (X,), {"dim": dim, "keepdim": True}) for dim in (None, 1, (0, 2))),
    *((d.linalg_norm, torch.linalg.norm, (X[0], order), {}) for order in ("fro", "nuc", 1, math.inf)),
    *((d.linalg_norm, torch.linalg.norm, (X[0, 0], order), {}) for order in (None, 1, -math.inf)),
    (d.pairwise_distance, F.pairwise_distance, (X, X.flip(1)), {}),
    (d.pairwise_distance, F.pairwise_distance, (X, X.flip(1), 1, 0.1, True), {}),
    (d.cosine_similarity, F.cosine_similarity, (X, X.flip(1)), {}),
    (d.cosine_similarity, F.cosine_similarity, (X, X.flip(1)[:1]), {"dim": -1, "eps": 2.0}),
    *((d.cdist, torch.cdist, (X, Y, p), {}) for p in (0.0, 1.0, 2.0, 3.5, math.inf)),
    (d.cdist, torch.cdist, (X, Y), {"compute_mode": "donot_use_mm_for_euclid_dist"}),
    *((d.pdist, torch.pdist, (X[0], p), {}) for p in (1.0, 2.0, math.inf)),
    *((d.dist, torch.dist, (X[:, :4], Y, p), {}) for p in (0, 1, 2, 3, math.inf, -math.inf)),
    *((d.renorm, torch.renorm, (X, p, dim, 2.0), {}) for p in (1, 2, 3) for dim in (0, 1, -1)),
]


@pytest.mark.parametrize("case", CASES, ids=[f"{i}-{one[0].__name__}" for i, one in enumerate(CASES)])
def test_the_same_values(case):
    ours, theirs, args, kwargs = case
    torch.testing.assert_close(ours(*args, **kwargs), theirs(*args, **kwargs), rtol=1e-12, atol=1e-12)


OPERATIONS = {
    "to itself": lambda h: torch.cdist(h, h),
    "along the line": lambda h: torch.cdist(h.mT, h.flip(2).mT[:, :3], p=1),
    "to prototypes": lambda h: torch.cdist(h, torch.linspace(-1, 1, 60).to(h).view(3, 20)),
    "largest": lambda h: torch.cdist(h, h.flip(1), p=math.inf),
    "shortened": lambda h: h.renorm(2, 0, 3.0),
    "shortened in place": lambda h: h.clone().renorm_(1, 0, 10.0),
    "of vectors, as linear algebra has it": lambda h: h / torch.linalg.norm(h, dim=1, keepdim=True),
    "of frequencies": lambda h: torch.linalg.norm(torch.fft.rfft(h), dim=1),
    "norms of nothing": lambda h: torch.cat(
        [h.norm(dim=1), (0 * h).norm(dim=1), (0 * h).std(1), (0 * h).norm(3, 1)], 1
    ),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_they_add_up(name, Around, incompleteness):
    assert incompleteness(Around(OPERATIONS[name])) < 1e-9
