"""Pullbacks of operations on rows: they add up, and have the derivatives that finite differences find."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlight.attribution.calls.call import Call
from seqlight.attribution.rules import row_pullbacks
from seqlight.attribution.rules.layer_norm import layer_norm_over_last
from seqlight.attribution.rules.order_statistics import Selection, crossing_value
from seqlight.attribution.rules.pullbacks import Observed
from seqlight.attribution.rules.softmax import Softmax, log_softmax_over, logsumexp_over, softmax_over
from seqlight.attribution.rules.sorting import sorted_over_last


def observed(function, x, *more):
    call = Call.from_arguments("f", function, (x, *more), {})
    call.dependent = (0,)
    y = call()
    return Observed(call, (x,), y if isinstance(y, tuple) else (y,))


CASES = {
    "softmax": (softmax_over, (-1,), lambda *of: row_pullbacks.softmax(Softmax("softmax"), *of)),
    "log_softmax": (log_softmax_over, (-1,), lambda *of: row_pullbacks.softmax(Softmax("log_softmax"), *of)),
    "logsumexp": (logsumexp_over, (-1,), lambda *of: row_pullbacks.softmax(Softmax("logsumexp"), *of)),
    "layer_norm": (layer_norm_over_last, (None, None, 1e-5), row_pullbacks.layer_norm),
    "sort": (sorted_over_last, (), lambda *of: row_pullbacks.select(Selection(crossing_value), *of)),
}


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_differences_add_up_and_derivatives_are_right(name, seed):
    function, more, pullback = CASES[name]
    torch.manual_seed(seed)
    x1, x0 = (torch.randn(2, 5, dtype=torch.float64, requires_grad=True) for _ in range(2))

    def multiplier(x1, x0):
        sequence, reference = observed(function, x1, *more), observed(function, x0, *more)
        y1, y0 = sequence.results[0], reference.results[0]
        torch.manual_seed(0)
        grad = torch.randn(y0.shape, dtype=torch.float64)
        (found,) = pullback(sequence, reference, [grad])
        return found, (found * (x1 - x0)).sum() - (grad * (y1 - y0)).sum()

    assert multiplier(x1, x0)[1].abs() < 1e-10
    assert torch.autograd.gradcheck(lambda *of: multiplier(*of)[0], (x1, x0), fast_mode=True)


@pytest.mark.parametrize("name", CASES)
def test_rows_that_do_not_change_have_finite_derivatives(name):
    function, more, pullback = CASES[name]
    torch.manual_seed(0)
    x = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    sequence, reference = observed(function, x, *more), observed(function, x, *more)
    (found,) = pullback(sequence, reference, [torch.ones_like(reference.results[0])])
    (plain,) = torch.autograd.grad(reference.results[0].sum(), x, create_graph=True)
    torch.testing.assert_close(found, plain, rtol=1e-6, atol=1e-6)
    assert found.requires_grad is False or torch.autograd.grad(found.sum(), x)[0].isfinite().all()
