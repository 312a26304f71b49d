"""What every test of the engine asks: do the attributions add up?"""

import pytest
import torch

from multipliers import _multiplied as _multiplied
from multipliers import _with_and_without_kernels as _with_and_without_kernels
from seqlight import deep_lift_shap, random_one_hot
from seqlight.attribution.calls.retry import Retry, Unexplained
from seqlight.attribution.engine.passes import reference_pass, refuse_unexplained, sequence_pass
from seqlight.attribution.engine.policy import CallPolicy
from seqlight.attribution.rules.table import rules


def incompleteness(model, X=None, *, args=(), n_shuffles=3, target=0, random_state=0, **settings):
    """Return the largest |sum of contributions - output difference| over the mean |output difference|.

    The output difference is taken from the model itself, one row at a time, and not from the engine.
    """
    X = random_one_hot((3, 4, 20), random_state=1) if X is None else X
    m, r = deep_lift_shap(
        model,
        X,
        args=args or None,
        n_shuffles=n_shuffles,
        target=target,
        random_state=random_state,
        raw_outputs=True,
        return_references=True,
        device="cpu",
        **settings,
    )
    training = [module.training for module in model.modules()]
    model.eval()
    with torch.no_grad():

        def out(x, i):
            return model(x[None].to(m.dtype), *(arg[i : i + 1] for arg in args)).reshape(1, -1)[0, target]

        differences = torch.stack(
            [torch.stack([out(x, i) - out(one, i) for one in r[i]]) for i, x in enumerate(X.to(m.dtype))]
        )
    for module, mode in zip(model.modules(), training, strict=True):
        module.training = mode
    sums = (m * (X.unsqueeze(1) - r)).sum(dim=(2, 3))
    assert torch.isfinite(m).all()
    assert differences.abs().mean() > 1e-8, "nothing to explain"
    return float((sums - differences).abs().max() / differences.abs().mean())


@pytest.fixture(name="incompleteness")
def _incompleteness():
    return incompleteness


class Around(torch.nn.Module):
    """A convolution, what is tested, and a dense layer."""

    def __init__(self, middle, channels=6, length=20, features=None, shift=0.0):
        super().__init__()
        torch.manual_seed(0)
        self.first = torch.nn.Conv1d(4, channels, 5, padding=2)
        self.middle = middle
        self.shift = shift
        with torch.no_grad():
            features = self.hidden(torch.zeros(2, 4, length)).shape[1] if features is None else features
        self.last = torch.nn.Linear(features, 2)
        self.double().requires_grad_(False)

    def hidden(self, x):
        dtype = self.first.weight.dtype
        self.middle.to(dtype) if isinstance(self.middle, torch.nn.Module) else None
        return self.middle(2 * self.first(x.to(dtype)) + self.shift).flatten(1)

    def forward(self, x):
        return self.last(self.hidden(x))


@pytest.fixture(name="Around")
def _around():
    return Around


def engine_gap(function, x, r):
    """Return the same as `incompleteness`, of a function that turns (rows, ...) into (rows, anything), by the engine.

    Parameters
    ----------
    x : torch.Tensor, shape (sequences, ...)
    r : torch.Tensor, shape (n, sequences, ...)
    """

    class Model(torch.nn.Module):
        def forward(self, x):
            y = function(x)
            y = y.reshape(len(y), -1)
            return (y * torch.linspace(1, 2, y.shape[1], dtype=y.dtype)).sum(1)

    model, policy, rows = Model(), CallPolicy(rules()), r.flatten(0, 1)
    while True:
        try:
            with sequence_pass(model, [x], policy) as first:
                first.output = model(*first.inputs)
            record = first.record
            with reference_pass(model, [rows], policy, record) as second:
                second.output = model(*second.inputs)
            output = second.output
            (m,) = torch.autograd.grad(output.sum(), second.leaves)
            break
        except Retry as reason:
            if isinstance(reason, Unexplained) and policy.inspect:
                refuse_unexplained(model, model, [x], policy)
            policy.revise(reason)
    with torch.no_grad():
        y1, y0 = model(x.clone()), model(rows.clone())
    torch.testing.assert_close(record.output, y1, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(output.detach(), y0, rtol=1e-9, atol=1e-12)
    d = y1.repeat(len(r)) - y0
    sums = (m * (x.repeat(len(r), *[1] * (x.ndim - 1)) - rows)).flatten(1).sum(1)
    assert torch.isfinite(m).all()
    assert d.abs().mean() > 1e-8, "nothing to explain"
    return float((sums - d).abs().max() / d.abs().mean())


@pytest.fixture(name="engine_gap")
def _engine_gap():
    return engine_gap
