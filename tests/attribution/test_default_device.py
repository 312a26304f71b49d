"""Intermediate tensors are on the right device, whatever default device a notebook has set."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import seqlight as sl
from multipliers import plain_rules

X = sl.random_one_hot((3, 4, 24), random_state=0)
torch.manual_seed(0)
MODEL = nn.Sequential(nn.Conv1d(4, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(66, 1))


class Nudge(nn.Module):
    """Scales each position a little more than the one before, so that maxima of a window are equal but for rounding."""

    def __init__(self):
        super().__init__()
        self.register_buffer("scale", 1 + torch.arange(24) * torch.finfo(torch.float32).eps)

    def forward(self, x):
        return x * self.scale


POOLED = nn.Sequential(nn.Conv1d(4, 3, 1), Nudge(), nn.MaxPool1d(3, 2), nn.Flatten(), nn.Linear(33, 1))


def attribute_pooled():
    with plain_rules():
        return sl.deep_lift_shap(POOLED, X, n_shuffles=4, random_state=0, device="cpu")


CALLS = {
    "one_hot_encode": lambda: sl.one_hot_encode("ACGT"),
    "random_one_hot": lambda: sl.random_one_hot((2, 4, 8), random_state=0),
    "dinucleotide_shuffle": lambda: sl.dinucleotide_shuffle(X, n=2, random_state=0),
    "predict": lambda: sl.predict(MODEL, X, device="cpu"),
    "deep_lift_shap": lambda: sl.deep_lift_shap(MODEL, X, n_shuffles=2, random_state=0, device="cpu"),
    "deep_lift_shap without kernels": attribute_pooled,
    "saturation_mutagenesis": lambda: sl.saturation_mutagenesis(MODEL, X[:1], device="cpu"),
    "input_x_gradient": lambda: sl.input_x_gradient(MODEL, X, device="cpu").attributions,
}


@pytest.mark.reliability(
    "models of others", "torch.set_default_device with data on another device", "the same numbers, on the CPU"
)
@pytest.mark.parametrize("call", CALLS)
def test_the_default_device_is_unchanged(call):
    wanted = CALLS[call]()
    with torch.device("meta"):  # which holds nothing: what came to lie there would be an error
        found = CALLS[call]()
    assert found.device.type == "cpu"
    assert torch.equal(found, wanted)
