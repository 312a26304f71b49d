"""Each composition over dimensions is the operation that it is written for."""

import pytest
import torch
from torch.nn import functional as F

from seqlight.attribution.rules import reductions as r

torch.manual_seed(0)
X, Y = (torch.randn(2, 6, 5, dtype=torch.float64) for _ in range(2))

CASES = [
    (r.softmax, F.softmax, (X, 1), {}),
    (r.softmax, F.softmax, (X, 1, 3, torch.float32), {}),
    (r.softmax, torch.softmax, (X, -1, torch.float32), {}),
    (r.softmax, F.softmax, (X,), {"dim": 0, "dtype": torch.float32}),
    (r.log_softmax, F.log_softmax, (X, 1), {}),
    (r.log_softmax, torch.log_softmax, (X, -1, torch.float32), {}),
    (r.logsumexp, torch.logsumexp, (X, 1), {}),
    (r.logsumexp, torch.logsumexp, (X, (0, 2), True), {}),
    (r.logsumexp, torch.logsumexp, (X, [1]), {"keepdim": True}),
    (r.amax, torch.amax, (X, 1), {}),
    (r.amax, torch.amax, (X, (2, 0), True), {}),
    (r.amax, torch.amax, (X,), {}),
    (r.amin, torch.amin, (X, (-1,)), {"keepdim": True}),
    (r.max_, torch.max, (X,), {}),
    (r.min_, torch.min, (X,), {}),
    (r.max_, torch.max, (X, Y), {}),
    (r.min_, torch.min, (X,), {"other": Y}),
]


@pytest.mark.parametrize("case", CASES, ids=[f"{i}-{one[0].__name__}" for i, one in enumerate(CASES)])
def test_the_same_values(case):
    ours, theirs, args, kwargs = case
    torch.testing.assert_close(ours(*args, **kwargs), theirs(*args, **kwargs), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("ours", "theirs"), [(r.max_, torch.max), (r.min_, torch.min)])
@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("keepdim", [True, False])
def test_the_extreme_and_its_place(ours, theirs, dim, keepdim):
    found, expected = ours(X, dim, keepdim), theirs(X, dim, keepdim)
    assert torch.equal(found.values, expected.values)
    assert torch.equal(found.indices, expected.indices)


@pytest.mark.filterwarnings("ignore:Implicit dimension choice")
@pytest.mark.parametrize("x", [X, X[0], X[0, 0]])
def test_the_dimension_that_softmax_chooses(x):
    torch.testing.assert_close(r.softmax(x), F.softmax(x))
