"""Operations of the table of rules, in a model between a convolution and a readout: each with a graph, or refused."""

import warnings

import pytest
import torch

import seqlight as sl
from seqlight.errors import ConvergenceWarning, SeqlightError, UnsupportedOperation
from seqlight.studies.suites.operations import make_data, make_model
from seqlight.studies.suites.operations.spellings import all_spellings

SPELLINGS = {one.title: one for one in all_spellings()}
# One for each pullback and each way to be called: in place, fused, written in simpler operations, as an operator.
QUICK = """
    relu: function F.relu
    relu: in place Tensor.relu_
    gelu: module nn.GELU
    leaky_relu: module nn.LeakyReLU
    hardsigmoid: module nn.Hardsigmoid
    exp: function torch.exp
    abs: function torch.abs, complex
    floor: function torch.floor
    heaviside: function torch.heaviside, constant
    mul: in place Tensor.mul_, both
    matmul: function torch.matmul, both
    einsum: function torch.einsum, both
    div: function torch.div, both
    maximum: function torch.maximum, both
    where: function torch.where, both
    clamp: in place Tensor.clamp_, both
    max_pool1d: module nn.MaxPool1d
    adaptive_max_pool1d: module nn.AdaptiveMaxPool1d
    amax: function torch.amax
    sort: function torch.sort
    cummax: function torch.cummax
    softmax: module nn.Softmax
    log_softmax: function F.log_softmax
    logsumexp: function torch.logsumexp
    layer_norm: module nn.LayerNorm
    group_norm: module nn.GroupNorm
    scaled_dot_product_attention: function F.scaled_dot_product_attention
    glu: module nn.GLU
    std: function torch.std
    cumprod: function torch.cumprod
    batch_norm: module nn.BatchNorm1d
    prelu: module nn.PReLU
    rnn_relu: module nn.RNN, relu
    igamma: function torch.igamma, constant
    max_unpool1d: module nn.MaxUnpool1d
"""
QUICK_TITLES = [line.strip() for line in QUICK.strip().splitlines()]


def both(title):
    """Return whether one spelling is differentiated, once its attributions and their derivatives are confirmed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some spellings are deprecated
        return in_silence(title)


def in_silence(title):
    model, (X, references) = make_model(SPELLINGS[title]).double(), make_data()
    X, references = X.double(), references.double()
    weights = torch.randn(X.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    parameters = list(model.parameters())
    generator = torch.Generator().manual_seed(1)
    directions = [torch.randn(one.shape, dtype=torch.float64, generator=generator) for one in parameters]
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            found = sl.differentiable_attributions(model, X, references)
        except (UnsupportedOperation, ConvergenceWarning):
            return False
        try:
            expected = sl.deep_lift_shap(model, X, references=references)
        except (SeqlightError, ConvergenceWarning):
            return False
    torch.testing.assert_close(found.detach(), expected, rtol=1e-7, atol=1e-10 * float(expected.abs().max()))
    (found * weights).sum().add(found.square().sum()).backward()
    along = sum((p.grad * v).sum() for p, v in zip(parameters, directions, strict=True) if p.grad is not None)

    @torch.no_grad()
    def moved(step):
        for p, v in zip(parameters, directions, strict=True):
            p.add_(v, alpha=step)
        found = sl.differentiable_attributions(model, X, references)
        for p, v in zip(parameters, directions, strict=True):
            p.sub_(v, alpha=step)
        return (found * weights).sum() + found.square().sum()

    # A kink may be nearer than one step: it is not nearer than the other.
    central = [(moved(step) - moved(-step)) / (2 * step) for step in (1e-6, 1e-8)]
    nearest = min(central, key=lambda one: float((one - along).abs()))
    torch.testing.assert_close(along, nearest, rtol=1e-5, atol=1e-7)
    return True


@pytest.mark.parametrize("title", QUICK_TITLES)
def test_an_operation_is_differentiated_rightly_or_refused(title):
    assert both(title) != any(name in title for name in ("igamma", "max_unpool"))


@pytest.mark.slow
def test_every_spelling_of_every_operation_is_differentiated_rightly_or_refused():
    assert sum(map(both, SPELLINGS)) >= 1350


def test_a_tensor_that_is_written_to_afterwards_is_refused():
    class Overwriting(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv1d(4, 2, 3)

        def forward(self, x):
            h = self.conv(x)
            y = torch.relu(h)
            h.zero_()
            return y.sum((1, 2))

    X, references = make_data()
    with pytest.raises(UnsupportedOperation, match="what relu takes or returns is written to in place afterwards"):
        sl.differentiable_attributions(Overwriting(), X, references)
