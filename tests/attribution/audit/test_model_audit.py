"""The operation that loses something is named, with what to do about it; those that lose nothing are not."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from seqlight import deep_lift_shap, dinucleotide_shuffle, random_one_hot
from seqlight.attribution.audit.model_audit import audit
from seqlight.errors import ConvergenceWarning, InputError
from user_operations import Custom, Deep, by_numpy

X = random_one_hot((3, 4, 20), random_state=1)


def look(model, X=X, **settings):
    return audit(model, X, **{"device": "cpu", **settings})


def culprit(model, **settings):
    """Return the only row that loses something."""
    found = look(model, **settings)
    assert not found.complete
    assert len(found.culprits) == 1, str(found)
    torch.testing.assert_close(found.losses.sum(0), found.deltas, rtol=1e-9, atol=1e-12)
    return found.culprits.iloc[0]


# Functions that hide something, with the operation that loses it and a pattern for its note.


def mask_in_place(h):
    mask = torch.zeros_like(h)
    mask[h > 0] = 1
    return h * mask


def in_the_dark(h):
    with torch.no_grad():
        g = torch.sigmoid(h.flip(1))
    return h * g


def written_over(h):
    h = h.clone()
    h.data.clamp_(min=0)
    return h


def written_over_without_a_gradient(h):
    h = h.clone()
    with torch.no_grad():
        h[:, :3].clamp_(min=0)
    return h


def multiplied_in_place(h):
    h = h.clone()
    h[:, :3] *= (h[:, 3:] > 0).double()
    return h


def filled_in(h):
    h = h.clone()
    h[:, :3] = h[:, 3:].detach().tanh()
    return h


def scaled_by_numpy(h):
    scale = torch.from_numpy(np.exp(h.detach().numpy()))
    return h * scale


def looked_up(h):
    table = torch.linspace(-1, 1, 6).to(h)
    return h + table[h.argsort(dim=1)]


def one_hot(h):
    return h * F.one_hot(h.argmax(dim=1), 6).mT.to(h.dtype)


HIDDEN = {
    "written over": (written_over, "clamp", r"`data`"),
    "written over without a gradient": (written_over_without_a_gradient, "clamp", r"no_grad"),
    "argsort": (lambda h: h * h.argsort(1), "mul", r"`argsort`.*index"),
    "looked up": (looked_up, "add", r"`argsort`.*index"),
    "gather": (lambda h: h.gather(1, h.argsort(1)), "gather", r"`argsort`.*amax"),
    "item": (lambda h: h / (1 + h.abs().max().detach().item()), "div", r"`(item|detach)`"),
    "index": (lambda h: h[:, :, int(h.detach()[0, 0].argmax())], "getitem", r"`(int|detach)`"),
    "numpy": (scaled_by_numpy, "mul", r"`(numpy|detach)`"),
    "random": (lambda h: h * torch.rand(6, 20).to(h), "mul", r"Random numbers"),
    "random like": (lambda h: h + torch.randn_like(h), "add", r"Random numbers"),
    "mean by number": (lambda h: h - float(h.detach().mean()), "sub", r"`(float|detach)`"),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_hidden_operands_are_named_with_their_origin(name, Around):
    function, operation, note = HIDDEN[name]
    row = culprit(Around(Deep(function)))
    assert row.operation == operation
    assert row.module == "middle (Deep)"
    assert row.treatment in ("hidden", "rescale")
    assert re.search(note, row.note), row.note
    assert row.lost > 0.001


# What has a twin with a gradient, so that nothing is hidden.

REVEALED = {
    "detach": lambda h: h * h.flip(1).detach(),
    "data": lambda h: h + torch.relu(h.data),
    "float mask": lambda h: h * (h.flip(1) > 0).to(h.dtype),
    "float": lambda h: h * (h < 0).double(),
    "logical": lambda h: h * ((h > 0) & (h < 0.5)).double(),
    "mask in place": mask_in_place,
    "no_grad": in_the_dark,
    "one-hot": one_hot,
    "gather": lambda h: h.gather(1, h.argmax(1, keepdim=True)),
    "in place": multiplied_in_place,
    "filled in": filled_in,
    "concatenated": lambda h: torch.cat([h, h.round().detach()], 1),
    "matrix": lambda h: h @ h.detach().mT,
    "linear layer": lambda h: F.linear(h, h.detach()[0]),
}


@pytest.mark.parametrize("name", REVEALED)
def test_what_is_detached_or_compared_loses_nothing(name, Around):
    found = look(Around(Deep(REVEALED[name])))
    assert found.complete
    assert not len(found.culprits)
    assert "hidden" not in set(found.table.treatment)


REMEDIED = {
    "sign": lambda h: h * torch.sign(h.flip(1)).clamp(min=0),
    "mask of itself": lambda h: h * (h > 0),
    "where": lambda h: torch.where(h < 0, h, 0),
    "values": lambda h: h + h.max(dim=1, keepdim=True).values,
    "amax": lambda h: h / (1 + h.abs().amax((1, 2), keepdim=True)),
}


@pytest.mark.parametrize("name", REMEDIED)
def test_models_that_follow_the_notes_are_complete(name, Around):
    found = look(Around(Deep(REMEDIED[name])))
    assert found.complete
    assert not len(found.culprits)


def test_one_culprit_among_many_correct_operations():
    torch.manual_seed(0)
    gate = Deep(lambda h: h * by_numpy(h.roll(1, 2)))
    model = nn.Sequential(
        nn.Conv1d(4, 6, 3), nn.ReLU(inplace=True), nn.Softmax(1), nn.Sequential(nn.GELU(), gate), nn.Flatten(),
        nn.Linear(108, 2),
    )  # fmt: skip
    row = culprit(model)
    assert (row.operation, row.module, row.calls) == ("mul", "3.1 (Deep)", 1)


def test_losses_of_operations_sum_to_the_delta_of_deep_lift_shap(Around):
    model = Around(Deep(lambda h: torch.tanh(h) * by_numpy(h.flip(1)) + 0.1 * by_numpy(h)))
    references = dinucleotide_shuffle(X, n=2, random_state=5)
    found = look(model, references=references)
    with pytest.warns(ConvergenceWarning):
        m, r = deep_lift_shap(model, X, references=references, raw_outputs=True, return_references=True, device="cpu")
    with torch.no_grad():
        differences = (model(X.double()).unsqueeze(1) - torch.stack([model(one) for one in r]))[..., 0]
    deltas = (m * (X.unsqueeze(1) - r)).sum((2, 3)) - differences
    torch.testing.assert_close(found.deltas, deltas.flatten(), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(found.losses.sum(0), deltas.flatten(), rtol=1e-9, atol=1e-12)
    assert found.lost == pytest.approx(float(deltas.abs().mean() / differences.abs().mean()))
    assert set(found.culprits.operation) == {"mul", "add"}


def test_common_models_lose_nothing(Around):
    def many(h):
        h = F.normalize(F.layer_norm(torch.relu(h), h.shape[-1:]) + 1) + h.softmax(1) * h.sigmoid()
        h = h.clone()
        h[:, :3].relu_()
        h[:, 3:].mul_(h[:, :3])
        h += 1
        attended = F.scaled_dot_product_attention(h, h, h, torch.eye(6).to(h) - 1)
        masked = torch.softmax(h.masked_fill(torch.arange(20, device=h.device) > 12, -torch.inf), -1)
        pooled, places = F.max_pool1d(h, 2, return_indices=True)
        out = torch.zeros_like(h)
        out[:, ::2] = checkpoint(torch.tanh, h[:, ::2], use_reentrant=False)
        fourier = torch.fft.irfft(torch.fft.rfft(h) * torch.fft.rfft(h.flip(1)))
        return attended + masked + F.max_unpool1d(pooled, places, 2) + out + fourier

    found = look(Around(nn.Sequential(nn.GELU(), Deep(many), nn.MaxPool1d(3, 2))))
    assert found.complete
    assert not len(found.culprits)
    assert (found.table.lost < 1e-9).all()
    treated = found.table.set_index("operation").treatment
    assert treated["normalize"] == "in parts"
    assert treated["softmax"] == "closed form"
    assert treated["conv1d"] == "linear"
    assert treated["gelu"] == "rescale"
    assert treated["max_pool1d"].eq("cross-maximum").all()
    assert "half way" in set(treated["mul"])
    assert "detach" not in treated


def models_of_the_engine():
    """Return what the tests of the engine explain; tests are no package that could be imported from."""
    spec = importlib.util.spec_from_file_location("models", Path(__file__).parents[1] / "engine" / "test_passes.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.MODELS


MODELS = models_of_the_engine()


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")  # of a checkpoint without gradients
@pytest.mark.parametrize("name", MODELS)
def test_models_that_are_explained_lose_nothing_anywhere(name, Around):
    found = look(Around(MODELS[name]), X[:2], n_shuffles=1)
    assert found.complete
    assert (found.table.lost < 1e-9).all(), str(found)


def test_attention():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.Sequential(nn.Conv1d(4, 8, 3), Deep(lambda h: h.mT), layer, nn.Flatten(), nn.Linear(144, 2))
    found = look(model)
    assert found.complete
    assert "2.self_attn (MultiheadAttention)" in set(found.table.module)


def test_integrated_operations_are_in_the_table_and_warn_once():
    torch.manual_seed(0)

    class Power(nn.Module):
        def forward(self, x):
            return (x.square() + 1) ** x.flip(1)

    class Powers(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.power, self.last = nn.Conv1d(4, 5, 3), Power(), nn.Linear(5, 1)

        def forward(self, x):
            return self.last(self.power(self.first(x)).mean(2))

    found = look(Powers())
    assert found.complete
    (row,) = (row for row in found.table.itertuples() if row.treatment == "integrated")
    assert (row.module, row.operation, row.note) == ("power (Power)", "pow", "")
    assert row.lost < 1e-6


def test_recurrent_networks_are_explained_exactly():
    torch.manual_seed(0)

    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.recurrent, self.last = nn.GRU(4, 5, batch_first=True), nn.Linear(5, 1)

        def forward(self, x):
            return self.last(self.recurrent(x.mT)[0].mean(1))

    found = look(Recurrent())
    assert found.complete
    assert "integrated" not in set(found.table.treatment)


def do_nothing(module, grad_input, grad_output):
    return grad_input


@pytest.mark.parametrize("key", [nn.ReLU, F.relu])
def test_a_custom_rule_that_does_not_add_up(key, Around):
    row = culprit(Around(nn.Sequential(nn.Tanh(), nn.ReLU())), additional_nonlinear_ops={key: do_nothing})
    assert row.operation.lower() == "relu"
    assert (row.module, row.treatment) == ("middle.1 (ReLU)", "yours")
    assert "additional_nonlinear_ops" in row.note


# Models that are refused.


REFUSED = {
    "sinh": lambda h: torch.fft.fft(h.tanh()).sinh().abs(),
    "batch_norm": lambda h: F.batch_norm(h.tanh(), None, None, training=True),
    "dropout": lambda h: F.dropout(h.tanh()),
    "Custom": lambda h: Custom.apply(h.tanh()),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_model_is_listed_up_to_the_operation_at_fault(name, Around):
    found = look(Around(nn.Sequential(nn.Identity(), Deep(REFUSED[name]))))
    assert not found.complete
    row = found.culprits.iloc[0]
    assert (row.operation, row.module, row.treatment) == (name, "middle.1 (Deep)", "refused")
    assert name in row.note
    assert found.table.set_index("operation").treatment["tanh"] == "rescale"
    assert found.table.lost.isna().all()
    assert (found.table.operation == name).sum() == 1
    assert "Refused" in str(found)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scripted_modules_are_refused_as_a_whole():
    found = look(nn.Sequential(nn.Flatten(), torch.jit.script(nn.Linear(80, 1))))
    assert "ScriptModule" in found.culprits.iloc[0].note


def test_an_output_without_a_gradient_names_what_hid_it(Around):
    row = look(Deep(lambda x: x[:, 0].argsort(1)[:, :1].double())).culprits.iloc[0]
    assert (row.operation, row.treatment) == ("the output", "refused")
    assert "`argsort`" in row.note


BRANCHES = {
    "linear": (lambda h: 2 * h if h.detach()[0, :, 4].sum() > 0 else 1 + h, "course"),
    "longer": (lambda h: 2 * h + 1 if h.detach()[0, :, 4].sum() > 0 else 2 * h, "course"),
    "shorter": (lambda h: 2 * h if h.detach()[0, :, 4].sum().item() > 0 else h * 2 + 1, "course"),
    "with a rule": (lambda h: torch.relu(h) if h.detach()[0, :, 4].sum() > 0 else 1 * h, "refused"),
}


@pytest.mark.parametrize("name", BRANCHES)
def test_control_flow_that_depends_on_the_input(name, Around):
    function, treatment = BRANCHES[name]
    found = look(Around(Deep(function)))
    assert not found.complete
    row = found.culprits.iloc[0]
    assert (row.operation, row.module, row.treatment) == ("the course of the model", "middle (Deep)", treatment)
    assert re.search(r"after `(bool|item)` in middle \(Deep\).*torch\.where", row.note)


# The model is borrowed, and every argument is used.


def test_the_model_is_restored(Around):
    model = Around(nn.Sequential(nn.ReLU(), nn.Dropout(), Deep(lambda h: h * by_numpy(h)))).float().train()
    model.first.weight.requires_grad_(True)
    before = {name: one.clone() for name, one in model.state_dict().items()}
    torch.manual_seed(3)
    drawn = torch.get_rng_state()
    for case in ("as it is", "refused", "error"):
        if case == "refused":
            model.middle[2].function = F.dropout
        if case == "error":
            model.middle[2].function = lambda h: h.nothing
        if case == "error":
            with pytest.raises(AttributeError):
                look(model)
        else:
            look(model)
        assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())
        assert all(module.training for module in model.modules())
        assert model.first.weight.requires_grad
        assert model.first.weight.grad is None
        assert not any(len(h) for m in model.modules() for name, h in vars(m).items() if name.endswith("_hooks"))
        assert torch.equal(drawn, torch.get_rng_state())
        assert not torch.overrides._get_current_function_mode_stack()


def test_every_argument_is_used(Around):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.last = nn.Linear(80, 3)

        def forward(self, x, more):
            return self.last(x.flatten(1)).tanh() * more

    model, more = Two(), torch.rand(3, 3)
    for target in (2, (1,), torch.tensor([0, 1, 2]), lambda y: y.sum(1), lambda y: y[:, 0].relu()):
        found = look(model, args=[more], target=target, random_state=4, n_shuffles=3)
        assert found.complete
        assert found.deltas.shape == (9,)
    assert "relu" in set(found.table.operation)
    many = random_one_hot((6, 4, 20), random_state=0)
    assert look(model, many, args=[torch.rand(6, 3)]).deltas.shape == (8,)
    same = dinucleotide_shuffle(X, n=5, random_state=4)[:, :1]
    by_tensor = look(model, args=[more], references=same)
    assert by_tensor.deltas.shape == (3,)
    assert look(model, args=[more], references=lambda X, n: torch.zeros(len(X), n, 4, 20)).complete
    with pytest.raises(InputError, match="one target"):
        look(model, args=[more], target=[0, 1])
    assert look(Around(nn.ReLU()).float(), dtype=None).complete


def test_it_works_without_gradients_of_the_caller(Around):
    model = Around(nn.ReLU())
    with torch.no_grad():
        assert look(model).complete
    with torch.inference_mode():
        assert look(model).complete


PARTS = [
    torch.relu, lambda h: h * h.flip(1), lambda h: h.softmax(1), lambda h: F.max_pool1d(h, 3, 1, 1),
    lambda h: h.clone().sigmoid_(), lambda h: h - h.mean(2, keepdim=True), lambda h: h * (h > 0),
    lambda h: h * h.detach().flip(1), lambda h: h * (h.flip(1) > 0).double(), lambda h: h + h.data.tanh(),
    lambda h: h + by_numpy(h),
    mask_in_place, written_over, written_over_without_a_gradient, multiplied_in_place, filled_in, one_hot,
]  # fmt: skip


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(parts=st.lists(st.integers(0, len(PARTS) - 1), min_size=1, max_size=4), skip=st.booleans())
def test_the_total_is_the_sum_of_its_parts(parts, skip, Around):
    def run(h):
        for part in parts:
            new = PARTS[part](h)
            h = h + new if skip else new
        return h

    found = look(Around(Deep(run)), n_shuffles=1)
    assert "unseen" not in set(found.table.treatment)
    scale = float(found.losses.abs().max()) + 1
    torch.testing.assert_close(found.losses.sum(0) / scale, found.deltas / scale, rtol=0, atol=1e-9)


@pytest.mark.reliability(
    "models", "a layer with parameters that is made in forward, such as nn.PReLU() or nn.LayerNorm(...)", "explained"
)
def test_layers_that_are_made_in_forward_are_audited():
    class Makes(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Conv1d(4, 2, 3)

        def forward(self, X):
            h = nn.PReLU().to(X)(self.stem(X))
            return nn.LayerNorm(h.shape[-1]).to(h)(h).square().flatten(1)

    found = look(Makes())
    assert found.complete, str(found)
