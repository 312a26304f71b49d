"""Cells of recurrent networks: PyTorch's own results, complete, and the multipliers of their gates."""

import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight import random_one_hot
from seqlight.attribution.rules import cells, recurrent

SETTINGS = {"n_shuffles": 3, "random_state": 0, "raw_outputs": True, "device": "cpu", "dtype": "float64"}
CELLS = {"lstm": nn.LSTMCell, "gru": nn.GRUCell, "rnn_tanh": nn.RNNCell}
CELLS["rnn_relu"] = lambda *args, **kwargs: nn.RNNCell(*args, nonlinearity="relu", **kwargs)


class Cells(nn.Module):
    """Cells called step by step, whose first states depend on the input, or are zeros."""

    def __init__(self, kind, bias=True, start=False, overwrites=True):
        super().__init__()
        torch.manual_seed(0)
        self.overwrites = overwrites
        self.cell, self.last, self.start = CELLS[kind](4, 5, bias=bias), nn.Linear(5, 2), start
        self.double()

    def forward(self, x):
        lstm = isinstance(self.cell, nn.LSTMCell)
        first = x.sum(2)[:, [0, 1, 2, 3, 0]] / 9 if self.start else x.new_zeros(len(x), 5)
        state, seen = (first, first * first) if lstm else first, []
        for step in x.unbind(2):
            state = self.cell(step, state)
            seen.append(state[0] * state[1] if lstm else state)
            if lstm and self.overwrites:
                state = state[0], state[1].mul_(0.9)
        return self.last(torch.stack(seen).square().mean(0))


@pytest.mark.reliability(
    "operations",
    "cells of an LSTM, GRU or RNN in a loop, with states that are given, overwritten, or zeros",
    "complete, with the multipliers of their gates",
)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("start", [True, False])
@pytest.mark.parametrize("kind", CELLS)
def test_cells_are_complete(kind, start, bias, monkeypatch, incompleteness):
    model, X = Cells(kind, bias, start), random_one_hot((2, 4, 14), random_state=0)
    assert incompleteness(model, X) < 1e-9
    found = sl.deep_lift_shap(model, X, **SETTINGS)
    monkeypatch.setattr(recurrent, "KINDS", {})  # by gates
    torch.testing.assert_close(found, sl.deep_lift_shap(model, X, **SETTINGS), rtol=1e-9, atol=1e-12)


def test_results_of_cells_are_those_of_pytorch():
    x, states = torch.randn(3, 4).double(), torch.randn(2, 3, 5).double()
    for kind, make in CELLS.items():
        cell = make(4, 5).double().requires_grad_(False)
        given = tuple(states) if kind == "lstm" else states[0]
        found = cells.KINDS[kind][0](x, *states[: 1 + (kind == "lstm")], cells.Weights(*cell.parameters()))[0]
        torch.testing.assert_close(found, cell(x, given))


@pytest.mark.parametrize("kind", CELLS)
def test_differentiable_attributions_of_cells_are_the_same(kind):
    model = Cells(kind, overwrites=False).requires_grad_(False)
    X = random_one_hot((2, 4, 8), random_state=0).double()
    references = X.flip(2).unsqueeze(1)
    wanted = sl.deep_lift_shap(model, X, references=references, device="cpu", dtype="float64")
    found = sl.differentiable_attributions(model, X.requires_grad_(), references)
    torch.testing.assert_close(found.detach(), wanted, rtol=1e-12, atol=1e-14)
