"""Calls are listed by the names and modules that a user knows."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from seqlight.attribution.audit.completeness_ledger import SequenceAuditMode
from seqlight.attribution.audit.operations import view_base
from seqlight.attribution.calls.record import Record
from seqlight.attribution.engine.policy import CallPolicy
from seqlight.attribution.rules.table import rules
from seqlight.prediction.module_names import plain_name


def calls(model, x):
    """Return (operation, module, rules) of all calls that a model makes."""
    with SequenceAuditMode(model, CallPolicy(rules(), copy=True), Record()) as mode:
        model(x)
    return [(one.operation, one.module, one.rules) for one in mode.calls if one.has_gradient], mode


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.ReLU(inplace=True), nn.LayerNorm(4))

    def forward(self, x):
        h = self.inner(x.clone())
        return h.sigmoid_() + x.T.shape[0] + F.normalize(h)


def test_calls_are_listed_as_the_user_wrote_them():
    found, _ = calls(Block(), torch.randn(3, 4, requires_grad=True))
    names = [(operation, module) for operation, module, _ in found]
    assert names == [
        ("clone", "(Block)"),
        ("relu", "inner.0 (ReLU)"),
        ("layer_norm", "inner.1 (LayerNorm)"),
        ("sigmoid", "(Block)"),
        ("T", "(Block)"),
        ("add", "(Block)"),
        ("normalize", "(Block)"),
        ("add", "(Block)"),
    ]
    assert found[1][2] == ["Rescale"]
    assert set(found[2][2]) > {"linear"}
    assert {"linear", "Product"} < set(found[6][2])


def test_calls_that_do_not_depend_on_the_input_are_left_out():
    class Constant(nn.Module):
        def forward(self, x):
            return x + torch.arange(4).float().exp() * 2

    assert [name for name, _, _ in calls(Constant(), torch.randn(3, 4, requires_grad=True))[0]] == ["add"]


def test_origins():
    class Hides(nn.Module):
        def forward(self, x):
            mask = torch.zeros_like(x)
            mask[x > 0] = 1
            with torch.no_grad():
                dark = x.exp()
            return mask, dark, x.detach().max().item(), torch.zeros_like(x), x.argmax(1).to(x)

    class Holds(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Hides()

        def forward(self, x):
            self.found = self.inner(x)
            return x

    model = Holds()
    _, mode = calls(model, torch.randn(3, 4, requires_grad=True))
    mask, dark, number, zeros, indices = model.found
    assert mode.hidden.origin(mask).operation == "gt"
    assert mode.hidden.origin(mask).module == "inner (Hides)"
    assert not mode.hidden.origin(dark).recording
    assert mode.hidden.origin(zeros) is None
    assert mode.hidden.origin(indices).operation == "argmax"
    ((origin, value),) = mode.hidden.numbers
    assert (origin.operation, value) == ("item", number)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (torch.relu_, "relu"),
        (torch.Tensor.__matmul__, "matmul"),
        (torch.Tensor.shape.__get__, "shape"),
        (F.gelu, "gelu"),
    ],
)
def test_plain_names(function, name):
    assert plain_name(function) == name


def test_bases_of_views():
    x = torch.zeros(3, 4)
    assert view_base(x[1:]) is x
    assert view_base(x) is x
