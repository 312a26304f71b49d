"""Results of the compiled loops behave like those of PyTorch: a model may write to them, or pass wrong arguments."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from seqlight import deep_lift_shap, random_one_hot

X = random_one_hot((5, 4, 40), random_state=0)
SETTINGS = {"n_shuffles": 4, "random_state": 0, "device": "cpu", "batch_size": 12}


class Model(nn.Module):
    """A function of its parts."""

    def __init__(self, forward, *parts):
        super().__init__()
        torch.manual_seed(0)
        self.parts, self.function = nn.ModuleList(part() for part in parts), forward

    def forward(self, x):
        y = self.function(self.parts, x).flatten(1)
        return (y * torch.linspace(1, 2, y.shape[1], dtype=y.dtype)).mean(1, keepdim=True)


def heads(parts, x):
    return parts[0](x.mT).unflatten(2, (3, 2, 8)).permute(2, 0, 3, 1, 4)


WRITTEN_TO = {
    "convolution in steps": (lambda p, x: F.relu(p[0](x), inplace=True), lambda: nn.Conv1d(4, 16, 5, stride=2)),
    "image in steps": (
        lambda p, x: p[0](x[:, :, None]).add_(1).square(),
        lambda: nn.Conv2d(4, 16, (1, 5), stride=(1, 2)),
    ),
    "convolution": (lambda p, x: p[0](x).mul_(2).tanh(), lambda: nn.Conv1d(4, 16, 9)),
    "linear": (lambda p, x: F.relu(p[0](x.mT.repeat(1, 1, 4)), inplace=True), lambda: nn.Linear(16, 16)),
    "layer norm": (lambda p, x: p[0](x.mT + x.mT.cumsum(1)).mul_(2).square(), lambda: nn.LayerNorm(4)),
    "max pooling": (lambda p, x: F.relu(F.max_pool1d(p[0](x), 2), inplace=True), lambda: nn.Conv1d(4, 16, 5)),
    "adaptive pooling": (
        lambda p, x: F.adaptive_max_pool1d(p[0](x), 7).mul_(2).tanh(),
        lambda: nn.Conv1d(4, 16, 5),
    ),
    "einsum": (
        lambda p, x: F.relu(torch.einsum("bcl,bdl->bcd", p[0](x), x), inplace=True),
        lambda: nn.Conv1d(4, 16, 1),
    ),
    "rows": (
        lambda p, x: torch.stack([torch.tensordot(a, a.mT, dims=1).mul_(2) for a in p[0](x)]).tanh(),
        lambda: nn.Conv1d(4, 8, 5),
    ),
    "gelu": (lambda p, x: F.gelu(p[0](x)).mul_(2).add_(1).square(), lambda: nn.Conv1d(4, 16, 5)),
    "attention": (lambda p, x: F.scaled_dot_product_attention(*heads(p, x)).mul_(2).tanh(), lambda: nn.Linear(4, 48)),
}


@pytest.mark.reliability(
    "in-place operations",
    "max pooling followed by an activation with inplace=True, and other results that a model writes to",
    "the attributions of the same model without writing in place",
)
@pytest.mark.parametrize("name", WRITTEN_TO)
def test_results_that_are_written_to(name):
    model = Model(*WRITTEN_TO[name])
    found, expected = deep_lift_shap(model, X, **SETTINGS), deep_lift_shap(model, X, dtype="float64", **SETTINGS)
    torch.testing.assert_close(found, expected.float(), rtol=1e-3, atol=1e-5)


@pytest.mark.filterwarnings("ignore::seqlight.errors.IntegratedWarning")
@pytest.mark.parametrize("name", ["lstm", "quantile"])
def test_views_that_are_written_to(name):
    def function(parts, x, write):
        y = parts[0](x.mT)[0] if name == "lstm" else torch.quantile(parts[1](x), 0.3, dim=2)
        return write(y).tanh()

    parts = (lambda: nn.LSTM(4, 3, batch_first=True), lambda: nn.Conv1d(4, 6, 3))
    settings = SETTINGS | {"dtype": "float64"}
    found = deep_lift_shap(Model(lambda p, x: function(p, x, lambda y: y.mul_(2)), *parts), X[:2], **settings)
    expected = deep_lift_shap(Model(lambda p, x: function(p, x, lambda y: y * 2), *parts), X[:2], **settings)
    torch.testing.assert_close(found, expected)


REFUSED = {
    "layer norm of another width": (lambda p, x: p[0](x.mT), lambda: nn.LayerNorm(16)),
    "layer norm with a weight of another width": (lambda p, x: F.layer_norm(x.mT, (4,), torch.ones(5).to(x))),
    "same padding in steps": (lambda p, x: F.conv1d(x, torch.ones(3, 4, 5).to(x), padding="same", stride=2)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", REFUSED)
def test_what_pytorch_refuses(name, dtype):
    made = REFUSED[name]
    model = Model(*made) if isinstance(made, tuple) else Model(made)
    with pytest.raises(RuntimeError, match=r"normalized_shape|strided convolutions"):
        deep_lift_shap(model, X, dtype=dtype, **SETTINGS)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_arguments_by_keyword_in_any_order(approximate):
    ways = (
        lambda p, x: F.gelu(p[0](x), approximate=approximate),
        lambda p, x: F.gelu(approximate=approximate, input=p[0](x)),
    )
    one, other = (deep_lift_shap(Model(way, lambda: nn.Conv1d(4, 8, 5)), X, **SETTINGS) for way in ways)
    assert torch.equal(one, other)


@pytest.mark.parametrize("least", [-1e4, -1e9, float("-inf")])
@pytest.mark.filterwarnings("ignore::seqlight.errors.ConvergenceWarning")  # no gradient sees what makes the mask
def test_masks_that_differ_between_sequence_and_reference(least):
    """Of what is not to be seen in one of them there is no score to tell by."""

    def masked(parts, x):
        dead = (x.sum(1) == 0)[:, None, None, :]
        bias = torch.zeros(dead.shape, dtype=x.dtype).masked_fill(dead, least)
        return F.scaled_dot_product_attention(*heads(parts, x), attn_mask=bias)

    sequences, references = X.clone(), X[:, None].roll(3, -1)
    sequences[:, :, 5:9] = 0
    settings = {"references": references, "device": "cpu", "warning_threshold": 1e9}
    found = deep_lift_shap(Model(masked, lambda: nn.Linear(4, 48)), sequences, **settings)
    assert found.isfinite().all()
