"""Recurrent networks of relu: PyTorch's own results, and complete."""

import pytest
import torch
from torch import nn

from seqlight import random_one_hot
from seqlight.attribution.rules import recurrent


def packed(x, lengths):
    return nn.utils.rnn.pack_padded_sequence(x, torch.tensor(lengths), batch_first=True)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", ["batch first", "time first", "packed"])
def test_results_are_those_of_pytorch(kind, layers, bidirectional, bias):
    torch.manual_seed(0)
    network = nn.RNN(3, 4, layers, "relu", bias, kind != "time first", bidirectional=bidirectional).double()
    x, states = torch.randn(2, 5, 3).double(), torch.randn(layers * (1 + bidirectional), 2, 4).double()
    parameters, rest = network._flat_weights, (bias, layers, 0.0, False, bidirectional)
    if kind == "packed":
        x = packed(x, [5, 3])
        y, last = network(x, states)
        found, state = recurrent.rnn_relu(x.data, x.batch_sizes, states, parameters, *rest)
        torch.testing.assert_close(found, y.data)
    else:
        x = x if kind == "batch first" else x.transpose(0, 1)
        y, last = network(x, states)
        found, state = recurrent.rnn_relu(x, states, parameters, *rest, kind == "batch first")
        torch.testing.assert_close(found, y)
    torch.testing.assert_close(state, last)


class Recurrent(nn.Module):
    def __init__(self, network, pack):
        super().__init__()
        self.network, self.pack = network, pack
        self.last = nn.Linear(network.hidden_size * (1 + network.bidirectional), 2)

    def forward(self, x):
        h = x.mT
        if self.pack:
            y, _ = self.network(packed(h, [x.shape[2] - 3] * len(x)))
            y, _ = nn.utils.rnn.pad_packed_sequence(y, batch_first=True)
        else:
            y, _ = self.network(h)
        return self.last(y.mean(1))


@pytest.mark.parametrize("pack", [True, False])
@pytest.mark.parametrize("layers", [1, 2])
def test_networks_of_relu_are_complete(layers, pack, incompleteness):
    torch.manual_seed(0)
    network = nn.RNN(4, 5, layers, nonlinearity="relu", batch_first=True, bidirectional=True)
    x = random_one_hot((2, 4, 14), random_state=0)
    assert incompleteness(Recurrent(network, pack).double(), x, batch_size=8) < 1e-9


@pytest.mark.filterwarnings("ignore::seqlight.IntegratedWarning")
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_packed_sequences_are_complete(kind, incompleteness):
    torch.manual_seed(0)
    model = Recurrent(kind(4, 5, batch_first=True), True).double()
    assert incompleteness(model, random_one_hot((2, 4, 14), random_state=0), batch_size=8) < 1e-6


def test_cells_of_relu_are_complete(incompleteness):
    class Cells(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.last = nn.RNNCell(4, 5, nonlinearity="relu"), nn.Linear(5, 2)

        def forward(self, x):
            state = x.new_zeros(len(x), 5)
            for step in x.unbind(2):
                state = self.cell(step, state)
            return self.last(state)

    torch.manual_seed(0)
    assert incompleteness(Cells().double(), random_one_hot((2, 4, 14), random_state=0)) < 1e-9
