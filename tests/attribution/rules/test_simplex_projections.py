"""Sparsemax and entmax are recognized by their numbers, and nothing else is."""

import pytest
import torch

from seqlight.attribution.calls.call import Call
from seqlight.attribution.rules.simplex_paths import threshold
from seqlight.attribution.rules.simplex_projections import projection_vjp, recognize


def along(x, dim, function):
    rows = x.movedim(dim, -1)
    found = function(rows.reshape(-1, rows.shape[-1])).view(*rows.shape[:-1], -1)
    return found.movedim(-1, dim)


def sparsemax(x, dim=-1):
    return along(x, dim, lambda rows: (rows - threshold(rows, 1)).clamp_min(0))


def entmax(x, dim=-1):
    return along(x, dim, lambda rows: (rows / 2 - threshold(rows / 2, 2)).clamp_min(0) ** 2)


def randoms(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dim", [0, 1, 2])
def test_what_is_recognized(dim, dtype):
    x = randoms(3, 4, 5, dtype=dtype)
    assert recognize(x, sparsemax(x, dim)) == (dim, 1, 1.0, True)
    assert recognize(x, entmax(x, dim)) == (dim, 2, 0.5, True)
    assert recognize(x, entmax(2 * x, dim)) == (dim, 2, 1.0, True)
    for power in (1, 2):
        kept = along(x, dim, lambda rows, power=power: threshold(rows, power))
        assert recognize(x, kept) == (dim, power, 1.0, False)
        assert recognize(x, kept.squeeze(dim)) == (dim, power, 1.0, False)


def test_what_is_not_recognized():
    x = randoms(3, 4, 5)
    jumps = torch.nn.functional.one_hot(x.argmax(-1), 5).to(x.dtype)
    shifted = sparsemax(x) + 1e-6
    for y in (
        x.softmax(-1),
        jumps,
        shifted,
        sparsemax(1.001 * x),
        x.amax(-1),
        x,
        x.sum(-1),
        sparsemax(x).float(),
        x[0],
    ):
        assert recognize(x, y) is None
    far = 100 * x  # where a single number is above the threshold, sparsemax looks like the place of the largest
    assert recognize(far, sparsemax(far)) is None


def pulled(function, x1, x0, grad):
    call = Call.from_arguments("op", function, (x0.clone().requires_grad_(),), {})
    known = recognize(x0, function(x0))
    return projection_vjp(known, call, (x1, function(x1)), (x0, function(x0)), grad)


@pytest.mark.parametrize("function", [sparsemax, entmax])
def test_references_in_any_dimension_and_masks(function):
    x1, x0, grad = randoms(4, 2, 3), randoms(4, 6, 3, seed=1), randoms(4, 6, 3, seed=2)
    x1[3], x0[3] = -torch.inf, -torch.inf
    found = pulled(lambda x: function(x, 0), x1, x0, grad)
    x1 = x1[:, None].expand(4, 3, 2, 3).reshape(4, 6, 3)
    parts = torch.where(x1 == x0, 0, found * (x1 - x0))
    wanted = ((function(x1, 0) - function(x0, 0)) * grad).sum(0)
    torch.testing.assert_close(parts.sum(0), wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.reliability(
    "attribution",
    "a function that is sparsemax for sequences and references, and something else in between",
    "not taken for sparsemax: it is integrated as before",
)
def test_what_differs_on_the_way_is_not_recognized():
    x1, x0, grad = randoms(2, 5), randoms(2, 5, seed=1), randoms(2, 5, seed=2)

    def other(x):
        known = (x == x0).all() or (x == x1).all()
        return sparsemax(x) if known else x.softmax(-1)

    def refuses(x):
        if not ((x == x0).all() or (x == x1).all()):
            raise ValueError("neither")
        return sparsemax(x)

    assert pulled(sparsemax, x1, x0, grad) is not None
    assert pulled(other, x1, x0, grad) is None
    assert pulled(refuses, x1, x0, grad) is None
    assert pulled(lambda x: sparsemax(x) if (x == x0).all() else x.softmax(-1), x1, x0, grad) is None
