"""What tests of single rules share: each runs with the compiled loops and without."""

import pytest
import torch

from seqlight.attribution.calls.recording import Call
from seqlight.attribution.rules import loops


@pytest.fixture(name="with_and_without_loops", params=["compiled", "plain"])
def _with_and_without_loops(request, monkeypatch):
    if request.param == "plain":
        monkeypatch.setattr(loops, "library", lambda: None)


def multiplied(rule, function, x1, x0, grad, *args, **kwargs):
    """Return output and gradient at the reference as the rule has them."""
    _, kept = rule.observe(Call.of("op", function, (x1.clone().requires_grad_(), *args), kwargs), False)
    leaf = x0.clone().requires_grad_()
    y = rule.explain(Call.of("op", function, (leaf, *args), kwargs), kept, False)
    y = y[0] if isinstance(y, tuple) else y
    (found,) = torch.autograd.grad(y, leaf, grad)
    return y.detach(), found


@pytest.fixture(name="multiplied")
def _multiplied():
    return multiplied
