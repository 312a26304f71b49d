"""Models that are difficult to audit: backward hooks, a dtype of their own, NaN, random numbers, other outputs."""

import re

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from seqlight import random_one_hot
from seqlight.attribution.audit.model_audit import audit
from user_operations import by_numpy

X = random_one_hot((2, 4, 20), random_state=0)


class Model(nn.Module):
    def __init__(self, function):
        super().__init__()
        torch.manual_seed(0)
        self.function, self.first, self.last = function, nn.Conv1d(4, 4, 5, padding=2), nn.Linear(80, 1)

    def forward(self, x):
        return self.function(self, x)


def look(function, **settings):
    return audit(function if isinstance(function, nn.Module) else Model(function), X, device="cpu", **settings)


def deep(function):
    """Return a model with a function of what its first layer gives in its middle."""
    return lambda model, x: model.last(function(model.first(x)).flatten(1))


def said(found):
    """Return what is printed below the table, as one line."""
    return re.sub(r"\s+", " ", str(found).split("\n\n")[-1])


# Backward hooks.


def hooked():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(4, 3, 5), nn.ReLU(), nn.Flatten(), nn.Linear(48, 1))


@pytest.mark.parametrize("layer", range(4))
@pytest.mark.parametrize("how", ["register_full_backward_hook", "register_full_backward_pre_hook"])
def test_backward_hooks_stay_out_of_the_way(layer, how):
    model, called = hooked(), []
    getattr(model[layer], how)(lambda *_: called.append(True))
    found = look(model)
    assert found.complete
    assert (found.table.lost < 1e-9).all()
    assert list(found.table.operation) == ["conv1d", "relu", "flatten", "linear"]
    assert called


def test_backward_hooks_of_all_modules():
    handle = nn.modules.module.register_module_full_backward_hook(lambda *_: None)
    try:
        assert look(hooked()).complete
    finally:
        handle.remove()


def test_a_backward_hook_that_changes_gradients_is_named():
    model = hooked()
    model[3].register_full_backward_hook(lambda module, given, out: (2 * given[0],))
    found = look(model)
    assert found.culprits.iloc[0].treatment == "unseen"
    assert "backward hook" in found.culprits.iloc[0].note


def test_attributes_of_a_tensor_are_not_calls():
    assert look(deep(lambda h: h.relu() if h.grad_fn is not None and not h.is_leaf else h)).complete
    row = look(deep(lambda h: h + by_numpy(h))).culprits.iloc[0]
    assert row.operation == "add"


# A dtype of their own.


WEIGHT = torch.linspace(-1, 1, 80).unsqueeze(1)


def half_inside(model, x):
    with torch.autocast(x.device.type, dtype=torch.bfloat16):
        return model.last(model.first(x.float()).softmax(1).flatten(1)).float()


IN_FLOAT32 = {
    "input": lambda model, x: model.last(model.first(x.float()).relu().flatten(1)),
    "attribute": lambda model, x: model.first(x).relu().flatten(1) @ WEIGHT.to(x.device),
    "constant": deep(lambda h: torch.eye(4, device=h.device) @ h.tanh()),
    "autocast": half_inside,
    "large": lambda model, x: model.last(model.first(x.float()).relu().flatten(1)) + 1e5,
}


@pytest.mark.parametrize(
    # Autocast has softmax in float32 on accelerators alone.
    "name",
    [pytest.param(name, marks=pytest.mark.cpu) if name == "autocast" else name for name in IN_FLOAT32],
)
def test_a_model_that_does_not_run_in_float64_is_audited_in_its_own_dtype(name):
    model = Model(IN_FLOAT32[name])
    found = look(model)
    assert found.complete, str(found)
    assert not len(found.culprits)
    assert "Computed in float32, because the model does not run in float64: " in said(found)
    assert found.dtype == (torch.bfloat16 if name == "autocast" else torch.float32)
    assert model.last.weight.dtype == torch.float32


def test_losses_are_found_in_float32():
    found = look(lambda model, x: model.last((model.first(x.float()) * by_numpy(x.float().flip(2))).flatten(1)))
    assert list(found.culprits.operation) == ["mul"]
    assert "`numpy`" in found.culprits.note.iloc[0]
    assert "Computed in float32" in said(found)


class Bare(nn.Module):
    def forward(self, x):
        return (x.flatten(1).float() @ WEIGHT.to(x.device)).tanh() + 1000


def test_parts_in_float32_are_judged_by_the_digits_of_float32():
    for model in (Bare(), Model(lambda model, x: model.last(model.first(x).relu().flatten(1)).float() + 1000)):
        found = look(model)
        assert found.complete
        assert not len(found.culprits)
        assert "rounding in float32" in said(found)
        assert "Computed" not in said(found)


@pytest.mark.parametrize("dtype", ["float64", "float32", None])
def test_errors_of_the_model_are_passed_on(dtype):
    with pytest.raises(RuntimeError, match="cannot be multiplied") as raised:
        look(lambda model, x: model.last(model.first(x)), dtype=dtype)
    assert raised.value.__context__ is None


# NaN and infinity.


def test_weights_that_are_nan():
    model = Model(deep(torch.relu))
    with torch.no_grad():
        model.last.weight[0, 0] = torch.nan
    found = look(model)
    assert not found.complete
    assert len(found.culprits) == 1
    assert said(found).startswith("The model's output is not a finite number for sequence 0 (from `linear` in last ")
    assert "fault" not in said(found)
    assert said(found).count(".") == 1


def test_the_log_of_zero():
    found = look(lambda model, x: model.last(x.log().flatten(1)))
    assert "(from `log` in (Model) on)" in said(found)


def test_a_reference_whose_output_is_not_finite():
    found = look(lambda model, x: model.last(x.flatten(1)) / x.sum(), references=torch.zeros(2, 1, 4, 20))
    assert "not a finite number for a reference of sequence 0:" in said(found)


def test_a_gradient_that_is_not_finite():
    found = look(
        deep(lambda h: h.sin() * 1e-160 * 1e-150 * 1e160 * 1e150)
    )  # too large for its dtype, in the backward pass
    (row,) = found.culprits.itertuples()
    assert (row.operation, row.treatment) == ("mul", "not finite")
    assert "gradient" in row.note
    assert "Not finite" in said(found)


def test_a_mask_of_infinities_is_fine():
    assert look(deep(lambda h: h.masked_fill(torch.arange(20, device=h.device) > 12, -torch.inf).softmax(2))).complete


# Random numbers.


RANDOM = {
    "gumbel": (F.gumbel_softmax, "gumbel_softmax"),
    "gumbel hard": (lambda h: F.gumbel_softmax(h, hard=True), "gumbel_softmax"),
    "rrelu": (lambda h: F.rrelu(h, training=True), "rrelu"),
    "in place": (lambda h: h * torch.empty_like(h).exponential_(), "mul"),
    "bernoulli": (lambda h: h.sigmoid().bernoulli(), "bernoulli"),
    "distribution": (lambda h: h * torch.distributions.Cauchy(0.0, 1.0).sample((20,)).to(h), "mul"),
    "branch": (lambda h: h.relu() if torch.rand(1) > LOTS.pop() else h.tanh(), "the course of the model"),
}
LOTS = []


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", RANDOM)
def test_random_numbers_are_named_as_the_reason(name):
    LOTS[:] = [0.0, 1.0] * 20
    function, operation = RANDOM[name]
    found = look(deep(function))
    row = found.culprits.iloc[0]
    assert (row.operation, row.module) == (operation, "(Model)")
    assert re.search("[Rr]andom numbers", row.note), row.note
    assert "depends on its input" not in row.note


# Wording.


def test_active_dropout_is_named_once():
    found = said(look(deep(F.dropout)))
    assert "`dropout` in (Model) is on even in evaluation mode" in found
    assert "the model itself" not in found


@pytest.mark.parametrize("output", [tuple, list])
def test_an_output_of_several_tensors(output):
    row = look(lambda model, x: output([model.last(x.flatten(1)), x])).culprits.iloc[0]
    assert (row.operation, row.treatment) == ("the output", "refused")


CONSTANT = {
    "weights": lambda model, x: model.last.weight.sum().expand(len(x), 1),
    "zeros": lambda model, x: torch.zeros(len(x), 1),
    "times zero": lambda model, x: model.last(x.flatten(1) * 0),
}


@pytest.mark.parametrize("name", CONSTANT)
def test_a_constant_model_is_described_as_constant(name):
    assert "not depend on the sequence: it is" in said(look(CONSTANT[name]))
