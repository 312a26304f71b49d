"""Each composition is the operation that it is written for, whatever is asked of it."""

import math

import pytest
import torch
from torch.nn import functional as F

from seqlight.attribution.rules import decompositions as d
from seqlight.errors import UnsupportedOperation

torch.manual_seed(0)
X, Y, Z = (torch.randn(2, 6, 5, dtype=torch.float64) for _ in range(3))
W, B = torch.randn(5, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
C = torch.rand(6, dtype=torch.float64)
Q, K, V = (torch.randn(2, 4, n, 3, dtype=torch.float64) for n in (6, 5, 5))

CASES = [
    (d.glu, F.glu, (X, 1), {}),
    (d.div, torch.div, (X, Y), {}),
    (d.div, torch.div, (X, Y), {"rounding_mode": "floor"}),
    (d.div, torch.div, (X, Y), {"rounding_mode": "trunc"}),
    (d.addcdiv, torch.addcdiv, (X, Y, Z), {"value": 0.3}),
    (d.masked_fill, torch.masked_fill, (X, X > 0, torch.tensor(2.0, dtype=torch.float64)), {}),
    (d.clamp, torch.clamp, (X, Y), {}),
    (d.clamp, torch.clamp, (X,), {"max": Y}),
    (d.clamp, torch.clamp, (X, Y, Y + 0.2), {}),
    (d.logaddexp, torch.logaddexp, (X, Y[:, :1]), {}),
    (d.hypot, torch.hypot, (X, Y), {}),
    (d.prod, torch.prod, (X, 1), {}),
    (d.prod, torch.prod, (X, 2, True), {}),
    (d.prod, torch.prod, (X,), {}),
    (d.prod, torch.prod, (X.float(), -1), {"dtype": torch.float64}),
    (d.cumprod, torch.cumprod, (X, 1), {}),
    (d.cumprod, torch.cumprod, (X, -1), {}),
    (d.var, torch.var, (X,), {}),
    (d.var, torch.var, (X, False), {}),
    (d.var, torch.var, (X, 1, False, True), {}),
    (d.var, torch.var, (X, (0, 1)), {"correction": 2}),
    (d.std, torch.std, (X, [1, 2]), {"keepdim": True}),
    (d.copysign, torch.copysign, (X, torch.tensor([0.0, -0.0, 1.0, -2.0, 3.0], dtype=torch.float64)), {}),
    (d.heaviside, torch.heaviside, (X.round(), Y), {}),
    (d.polar, torch.polar, (X.abs(), Y), {}),
    (d.reversed_div, lambda input, other: other / input, (X, Y), {}),
    (d.xlogy, torch.xlogy, (X, Y.exp()), {}),
    (d.xlogy, torch.xlogy, (torch.zeros(5), torch.tensor([-1, 0, 2, math.inf, -math.inf])), {}),
    (d.var_mean, torch.var_mean, (X, 1), {}),
    (d.var_mean, torch.var_mean, (X,), {}),
    (d.std_mean, torch.std_mean, (X, (0, 2)), {"correction": 0, "keepdim": True}),
    (d.std_mean, torch.std_mean, (X, False), {}),
    (d.dropout, F.dropout, (X, 0.5, False), {}),
    (d.dropout, F.dropout, (X, 0.0), {}),
    (d.dropout, torch.dropout, (X,), {"p": 0.5, "train": False}),
]


@pytest.mark.parametrize("case", CASES, ids=[f"{i}-{one[0].__name__}" for i, one in enumerate(CASES)])
def test_the_same_values(case):
    ours, theirs, args, kwargs = case
    torch.testing.assert_close(ours(*args, **kwargs), theirs(*args, **kwargs), rtol=1e-12, atol=1e-12)


# Positions at which one operand is 0 in some rows only, while the other stays as it is.
ZEROS = {
    "xlogy": lambda h: torch.xlogy(h.relu(), h.flip(1).relu() + 1.5),
    "heaviside": lambda h: torch.heaviside(h.round().clamp(-1, 0), h.flip(1).relu() + 0.5),
}


@pytest.mark.reliability(
    "operations", "xlogy and heaviside of two tensors of the model, at zeros of one that changes", "complete sums"
)
@pytest.mark.parametrize("name", ZEROS)
def test_zeros_that_come_and_go(name, Around, incompleteness):
    assert incompleteness(Around(ZEROS[name])) < 1e-9


def test_dropout_that_is_on_is_refused():
    with pytest.raises(UnsupportedOperation, match=r"training=self\.training"):
        d.dropout(X)
    with pytest.raises(UnsupportedOperation):
        d.dropout(X, 0.5, train=True)
