"""No rule waits for the device: what it does depends on shapes, and on no number that the device computes."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from seqlight import random_one_hot
from seqlight.attribution.calls.retry import Retry
from seqlight.attribution.engine.passes import reference_pass, sequence_pass
from seqlight.attribution.engine.policy import CallPolicy
from seqlight.attribution.rules import mean_jacobian, numerical_integration
from seqlight.attribution.rules.table import rules

CHANNELS, LENGTH = 6, 16


class Around(nn.Module):
    """A convolution, an operation, and the sum of what it returns."""

    def __init__(self, operation):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.operation = nn.Conv1d(4, CHANNELS, 3), operation

    def forward(self, X):
        y = self.operation(self.first(X))
        return y.flatten(1).sum(1)


def explain(model, X, references, policy):
    """Explain as often as the policy has to be revised."""
    while True:
        try:
            with sequence_pass(model, [X], policy) as first:
                first.output = model(*first.inputs)
            with reference_pass(model, [references], policy, first.record) as second:
                second.output = model(*second.inputs)
            return torch.autograd.grad(second.output.sum(), second.leaves)
        except Retry as reason:
            policy.revise(reason)


def awaited(pretend, operation):
    """Return what the host waits for in a block, once it knows how the calls of the model are handled."""
    model = Around(operation).to("pretend").eval().requires_grad_(False)
    X, references = (random_one_hot((n, 4, LENGTH + 2), random_state=n).float().to("pretend") for n in (2, 6))
    policy = CallPolicy(dict(rules()))
    explain(model, X, references, policy)
    with pretend.counted() as counts:
        explain(model, X, references, policy)
    assert counts.launches > 0
    return counts.awaited


def attend(x, **more):
    h = x.mT
    return F.scaled_dot_product_attention(h, h.flip(1), h * 2, **more)


OPERATIONS = {
    "relu": nn.ReLU(),
    "relu in place": nn.Sequential(nn.Identity(), nn.ReLU(inplace=True)),
    "gelu": nn.GELU(),
    "silu": nn.SiLU(),
    "sigmoid": nn.Sigmoid(),
    "tanh": nn.Tanh(),
    "elu": nn.ELU(),
    "softplus": nn.Softplus(),
    "exp": torch.exp,
    "abs": torch.abs,
    "max pooling": nn.MaxPool1d(4),
    "max pooling, overlapping": nn.MaxPool1d(3, 2, 1),
    "max pooling of wide windows": nn.MaxPool1d(16),
    "max pooling in 2-D": nn.Sequential(nn.Unflatten(1, (2, 3)), nn.MaxPool2d(2)),
    "adaptive max pooling": nn.AdaptiveMaxPool1d(5),
    "average pooling": nn.AvgPool1d(4),
    "quotient": lambda x: x / (1 + x.flip(1) ** 2),
    "normalize": lambda x: F.normalize(x, dim=1),
    "product": lambda x: x * x.flip(1),
    "products of matrices": lambda x: x @ x.mT,
    "softmax": nn.Softmax(1),
    "log_softmax": nn.LogSoftmax(1),
    "logsumexp": lambda x: x.logsumexp(1),
    "layer norm": nn.LayerNorm(LENGTH),
    "RMS norm": nn.RMSNorm(LENGTH),
    "group norm": nn.GroupNorm(2, CHANNELS),
    "batch norm": nn.BatchNorm1d(CHANNELS),
    "attention": attend,
    "causal attention": lambda x: attend(x, is_causal=True),
    "masked attention": lambda x: attend(x, attn_mask=torch.eye(LENGTH, dtype=torch.bool, device=x.device)),
    "RMS norm by hand": lambda x: x * torch.rsqrt((x**2).mean(1, keepdim=True) + 1e-5),
    "leaky relu": nn.LeakyReLU(),
    "logarithm": lambda x: torch.log1p(x.exp()),
    "cosine similarity": lambda x: F.cosine_similarity(x, x.flip(1), dim=2),
    "where": lambda x: torch.where(x > 0, x, x.flip(1)),
    "clamp": lambda x: x.clamp(-1, 1),
    "maximum": lambda x: torch.maximum(x, x.flip(1)),
    "amax": lambda x: x.amax(2),
    "amin": lambda x: x.amin(2),
    "max": lambda x: x.max(2).values,
    "min": lambda x: x.min(2).values,
    "median": lambda x: x.median(2).values,
    "sort": lambda x: x.sort(2).values,
    "topk": lambda x: x.topk(3, 2).values,
    "cumsum": lambda x: x.cumsum(2),
    "cumprod": lambda x: x.cumprod(2),
    "logcumsumexp": lambda x: x.logcumsumexp(2),
    "std": lambda x: x.std(2),
    "norm": lambda x: x.norm(dim=2),
    "glu": nn.GLU(1),
}


@pytest.mark.reliability(
    "accelerators",
    "some forty operations, from activations over pooling and norms to attention, on a device",
    "their rules wait for no number of the device, not once",
)
@pytest.mark.parametrize("name", OPERATIONS)
def test_no_rule_waits_for_the_device(name, pretend):
    assert awaited(pretend, OPERATIONS[name]) == {}


class Recurrent(nn.Module):
    """A recurrent network over positions."""

    def __init__(self, kind):
        super().__init__()
        self.network = kind(CHANNELS, 3, batch_first=True)

    def forward(self, x):
        return self.network(x.mT)[0]


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_no_recurrent_network_waits_for_the_device(kind, pretend):
    assert awaited(pretend, Recurrent(kind)) == {}


INTEGRATED = {
    "power of two operands": lambda: lambda x: (x**2 + 1) ** x.flip(1),
}


@pytest.mark.reliability(
    "accelerators",
    "a power of two operands on a device, integrated with as many points as the numbers ask for",
    "the host waits once for each number of points that is tried, for all that it has to know",
)
@pytest.mark.filterwarnings("ignore::seqlight.errors.IntegratedWarning")
@pytest.mark.parametrize("name", INTEGRATED)
def test_numbers_of_points_are_waited_for_once_each(name, pretend, monkeypatch):
    tried = []

    def mean_vjp(call, x1, x0, grads, points):
        tried.append(points)
        return mean_jacobian.mean_vjp(call, x1, x0, grads, points)

    monkeypatch.setattr(numerical_integration, "mean_vjp", mean_vjp)
    torch.manual_seed(0)
    waits = awaited(pretend, INTEGRATED[name]())
    assert sum(waits.values()) == len(tried[len(tried) // 2 :]) - 1, waits
