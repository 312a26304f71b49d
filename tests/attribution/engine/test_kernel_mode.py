"""The first call that may have reduced a tensor over the rows is named, with its module."""

import pytest
import torch
from torch import nn

from seqlight.attribution.engine.kernel_mode import KernelMode
from seqlight.attribution.engine.policy import CallPolicy
from seqlight.attribution.rules.table import rules


class Inner(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, h):
        return self.function(h)


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (torch.max, "max"),
        (lambda h: h - h.amax(0, keepdim=True), "amax"),
        (lambda h: h.mean(), "mean"),
        (lambda h: h.max(dim=0).values, "max"),
        (lambda h: h.amax((1, 2)), ""),
        (lambda h: h.argmax(), ""),
        (lambda h: torch.stack([row * 2 for row in h])[-1], ""),
        (lambda h: h.unflatten(2, (3, 2)).sum(-1), ""),
        (torch.relu, ""),
        (lambda h: h.shape[0], ""),
    ],
)
def test_a_reduction_over_rows_is_named(function, named):
    model = nn.Sequential(Inner(function))
    with KernelMode(model, CallPolicy(rules()), 2) as mode:
        model(torch.randn(2, 3, 6))
    assert mode.reduction == (f"{named} in module '0' (Inner)" if named else "")
    with KernelMode(model, CallPolicy(rules()), 1) as mode:
        model(torch.randn(1, 3, 6))
    assert not mode.reduction
