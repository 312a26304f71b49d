"""Weights are laid out once a call, and anew when they are others."""

import copy

import pytest
import torch
from torch import nn

from seqlight import deep_lift_shap, random_one_hot
from seqlight.attribution.kernels import convolution, packed_weights
from seqlight.attribution.kernels.table import vectorised
from seqlight.errors import ConvergenceWarning


def counted(weight, layout="forward"):
    calls = []

    def pack():
        calls.append(weight)
        return weight.detach() * 2

    return packed_weights.pack_once(packed_weights.Weight.from_owner(weight), layout, pack), len(calls)


def test_a_weight_is_packed_once_for_each_layout():
    one, other = (nn.Parameter(torch.randn(3), requires_grad=False) for _ in range(2))
    with packed_weights.store_packed_weights():
        assert [counted(one)[1], counted(one)[1], counted(other)[1], counted(one, "turned")[1]] == [1, 0, 1, 1]
    with packed_weights.store_packed_weights():
        assert counted(one)[1] == 1
    assert [counted(one)[1], counted(one)[1]] == [1, 1]


def test_a_changed_or_moved_weight_is_repacked():
    weight = nn.Parameter(torch.ones(3), requires_grad=False)
    with packed_weights.store_packed_weights():
        counted(weight)
        weight.mul_(3)
        assert counted(weight)[0].tolist() == [6, 6, 6]
        weight.data = torch.full((3,), 5.0)
        assert counted(weight)[0].tolist() == [10, 10, 10]


@pytest.mark.parametrize("default", [torch.bfloat16, torch.float64])
def test_packing_ignores_the_default_dtype(default):
    """Lightning sets it for a module of that precision."""
    weight, before = nn.Parameter(torch.randn(300), requires_grad=False), torch.get_default_dtype()
    torch.set_default_dtype(default)
    try:
        with packed_weights.store_packed_weights():
            counted(weight)
            found = counted(weight)[0]
    finally:
        torch.set_default_dtype(before)
    assert torch.equal(found, weight.detach() * 2)


def test_weights_made_in_each_forward_are_not_kept():
    with packed_weights.store_packed_weights():
        assert counted(torch.ones(3))[1] == 1
        assert counted(torch.ones(3))[1] == 1
        with torch.inference_mode():
            frozen = nn.Parameter(torch.ones(3), requires_grad=False)
        assert [counted(frozen)[1], counted(frozen)[1]] == [1, 1]


def test_no_more_bytes_are_kept_than_allowed(monkeypatch):
    monkeypatch.setattr(packed_weights, "MOST_BYTES", 20)
    one, other = (nn.Parameter(torch.randn(3), requires_grad=False) for _ in range(2))
    with packed_weights.store_packed_weights():
        assert [counted(one)[1], counted(other)[1], counted(one)[1], counted(other)[1]] == [1, 1, 0, 1]


class Clamped(nn.Module):
    """Writes to its own weight in each forward, as constrained layers do."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.convolution = nn.Conv1d(4, 20, 9, padding=4)

    def forward(self, x):
        with torch.no_grad():
            self.convolution.weight.clamp_(min=0)
        return self.convolution(x).relu().flatten(1).sum(1, keepdim=True)


class Swapping(nn.Module):
    """Gives its layer other numbers for a while, which no version tells; or three layers with these numbers."""

    def __init__(self, layer, swaps):
        super().__init__()
        self.layer, self.swaps = layer, swaps
        self.layers = nn.ModuleList(copy.deepcopy(layer) for _ in range(3))
        with torch.no_grad():
            for k in range(3):
                self.layers[k].weight.mul_(k + 1)

    def forward(self, x):
        base, y = self.layer.weight.data.clone(), x.mT if isinstance(self.layer, nn.Linear) else x
        for k in range(3):
            self.layer.weight.data = base * (k + 1)
            y = (self.layer if self.swaps else self.layers[k])(y).relu()
        self.layer.weight.data = base
        return y.mean((1, 2))[:, None]


LAYERS = {
    "linear": lambda: nn.Linear(32, 32),
    "convolution": lambda: nn.Conv1d(4, 4, 9, padding=4),
    "in steps": lambda: nn.Conv1d(4, 4, 3, stride=2, padding=1),
}


@pytest.mark.parametrize("batch_size", [5, 100])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_weight_whose_data_are_exchanged_for_a_while(kind, batch_size):
    torch.manual_seed(0)
    layer, first = LAYERS[kind](), nn.Conv1d(4, 32 if kind == "linear" else 4, 1)
    X = random_one_hot((3, 4, 32), random_state=0)
    settings = {"n_shuffles": 5, "random_state": 0, "device": "cpu", "batch_size": batch_size}
    expected = deep_lift_shap(nn.Sequential(first, Swapping(layer, False)), X, **settings)
    if kind != "linear" and not vectorised():
        # PyTorch's own convolution goes back through whatever numbers the weight has by then.
        with pytest.warns(ConvergenceWarning):
            deep_lift_shap(nn.Sequential(first, Swapping(layer, True)), X, **settings)
        return
    found = deep_lift_shap(nn.Sequential(first, Swapping(layer, True)), X, **settings)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 5, 100])
def test_a_model_that_writes_to_its_weight(batch_size):
    X, model = random_one_hot((3, 4, 30), random_state=0), Clamped()
    settings = {"n_shuffles": 5, "random_state": 0, "device": "cpu", "batch_size": batch_size}
    found = deep_lift_shap(model, X, **settings)
    expected = deep_lift_shap(model, X, dtype="float64", **settings)
    torch.testing.assert_close(found, expected.float(), rtol=1e-4, atol=1e-5)


def test_a_call_packs_each_weight_once_and_its_transpose_once(monkeypatch):
    if convolution._algorithm(4, 32, 9, 1, 30) is None:
        pytest.skip("this machine has no loops for convolutions")
    met, pack = [], convolution._pack
    monkeypatch.setattr(convolution, "_pack", lambda *args: met.append(args[1:]) or pack(*args))
    model = nn.Sequential(nn.Conv1d(4, 32, 9), nn.ReLU(), nn.Flatten(), nn.Linear(32 * 22, 1))
    deep_lift_shap(model, random_one_hot((4, 4, 30), random_state=0), n_shuffles=3, batch_size=3, device="cpu")
    assert len(met) == 2
    assert {turned for _, turned in met} == {False, True}
