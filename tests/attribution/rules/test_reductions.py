"""Each composition over dimensions is the operation that it is written for."""

import pytest
import torch

from seqlight.attribution.rules import reductions as r

torch.manual_seed(0)
X, Y = (torch.randn(2, 6, 5, dtype=torch.float64) for _ in range(2))

CASES = [
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
