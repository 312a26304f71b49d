"""Recurrent networks: PyTorch's own results, complete, and the multipliers of gates written by hand."""

import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight import random_one_hot
from seqlight.attribution.rules import recurrent, steps

KINDS = {
    "lstm": nn.LSTM,
    "gru": nn.GRU,
    "rnn_tanh": nn.RNN,
    "rnn_relu": lambda *args, **kwargs: nn.RNN(*args, **kwargs, nonlinearity="relu"),
}


def packed(x, lengths):
    return nn.utils.rnn.pack_padded_sequence(x, torch.tensor(lengths), batch_first=True)


@pytest.mark.parametrize("depends", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("form", ["batch first", "time first", "packed"])
@pytest.mark.parametrize("kind", KINDS)
def test_results_are_those_of_pytorch(kind, form, layers, bidirectional, bias, depends):
    torch.manual_seed(0)
    network = KINDS[kind](3, 4, layers, bias=bias, batch_first=form != "time first", bidirectional=bidirectional)
    network, x = network.double().requires_grad_(False), torch.randn(3, 5, 3).double().requires_grad_(depends)
    states = torch.randn(layers * (1 + bidirectional), 3, 4).double()
    states = (states, states.flip(0)) if kind == "lstm" else states
    parameters, rest = network._flat_weights, (bias, layers, 0.0, False, bidirectional)
    function = getattr(recurrent, kind)
    if form == "packed":
        x = packed(x, [5, 5, 2])
        y, last = network(x, states)
        found, *state = function(x.data, x.batch_sizes, states, parameters, *rest)
        torch.testing.assert_close(found, y.data)
    else:
        x = x if form == "batch first" else x.transpose(0, 1)
        y, last = network(x, states)
        found, *state = function(x, states, parameters, *rest, form == "batch first")
        torch.testing.assert_close(found, y)
    torch.testing.assert_close(tuple(state), last if kind == "lstm" else (last,))


@pytest.mark.parametrize("depends", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_results_of_projections_are_those_of_pytorch(bias, depends):
    torch.manual_seed(0)
    network = nn.LSTM(3, 4, 2, bias=bias, proj_size=2, bidirectional=True).double().requires_grad_(False)
    x, states = torch.randn(5, 2, 3).double(), (torch.randn(4, 2, 2).double(), torch.randn(4, 2, 4).double())
    y, last = network(x.requires_grad_(depends), states)
    found, *state = recurrent.lstm(x, states, network._flat_weights, bias, 2, 0.0, False, True, False)
    torch.testing.assert_close((found, tuple(state)), (y, last))


class Recurrent(nn.Module):
    """Everything that a network returns, in products, so that its multipliers matter each."""

    def __init__(self, kind, form="", **options):
        super().__init__()
        torch.manual_seed(0)
        self.network, self.form = KINDS[kind](4, 5, batch_first=True, **options), form
        width = 2 if options.get("bidirectional") else 1
        self.start, self.last = nn.Linear(4, 5), nn.Linear(5 * width, 2)
        self.double()

    def initial(self, x):
        state = self.start(x[:, 0]).expand(self.network.num_layers * (1 + self.network.bidirectional), -1, -1)
        return (state, state * state) if isinstance(self.network, nn.LSTM) else state

    def run(self, h):
        return self.network(h, self.initial(h) if self.form == "states" else None)

    def forward(self, x):
        h = x.mT
        if self.form == "packed":
            y, last = self.network(packed(h, [h.shape[1] - 3] * len(h)))
            y, _ = nn.utils.rnn.pad_packed_sequence(y, batch_first=True)
        else:
            y, last = self.run(h)
        last = last if isinstance(last, tuple) else (last,)
        return self.last(y.mean(1) + y[:, 2] * y[:, 5]) + sum(one[-1, :, :2] * one[0, :, 1:3] for one in last)


OPTIONS = {
    "plain": {},
    "two layers": {"num_layers": 2},
    "both directions": {"bidirectional": True, "num_layers": 2},
    "no biases": {"bias": False},
    "dropout off": {"num_layers": 2, "dropout": 0.5},
}


@pytest.mark.reliability(
    "operations",
    "LSTM, GRU and RNN: layers, both directions, packed sequences, given states, dropout between layers",
    "complete to rounding, and nothing is integrated",
)
@pytest.mark.parametrize("form", ["", "packed", "states"])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_networks_are_complete(kind, options, form, incompleteness):
    model, X = Recurrent(kind, form, **OPTIONS[options]), random_one_hot((2, 4, 14), random_state=0)
    assert incompleteness(model, X, batch_size=8) < 1e-9


class Projected(nn.Module):
    """An LSTM whose state is a projection."""

    def __init__(self, bias):
        super().__init__()
        torch.manual_seed(0)
        self.network = nn.LSTM(4, 5, 2, bias=bias, proj_size=3, batch_first=True, bidirectional=True)
        self.last = nn.Linear(6, 2)
        self.double()

    def forward(self, x):
        y, (state, cell) = self.network(x.mT)
        return self.last(y.square().mean(1)) + state[1, :, :2] * cell[2, :, 1:3]


class Unequal(nn.Module):
    """A network over rows that end at different places, each read by itself from both ends."""

    def __init__(self, kind):
        super().__init__()
        torch.manual_seed(0)
        self.network, self.last = KINDS[kind](4, 5, batch_first=True, bidirectional=True), nn.Linear(10, 2)
        self.double()

    def forward(self, x):
        h = x.mT
        # Parts of each row stand for rows: the first four positions, the first seven, and all of them.
        y, last = self.network(packed(torch.cat([h, h.flip(1), h * h.flip(1)]), [h.shape[1], 7, 4]))
        y, _ = nn.utils.rnn.pad_packed_sequence(y, batch_first=True)
        last = last[1] if isinstance(last, tuple) else last
        return self.last(y.square().mean(1).sum(0, keepdim=True)) + last[:, :, :2].tanh().sum((0, 1))


SETTINGS = {"n_shuffles": 3, "random_state": 0, "raw_outputs": True, "device": "cpu", "dtype": "float64"}


@pytest.mark.reliability(
    "operations",
    "LSTM with projections; packed sequences whose rows end at different places, in both directions",
    "complete, with the multipliers of gates written step by step",
)
@pytest.mark.parametrize(
    "make",
    [
        *(lambda bias=bias: Projected(bias) for bias in (True, False)),
        *(lambda kind=kind: Unequal(kind) for kind in KINDS),
    ],
)
def test_projections_and_rows_that_end(make, monkeypatch, incompleteness):
    model, X = make(), random_one_hot((2, 4, 14), random_state=0)
    size = 1 if isinstance(model, Unequal) else 6
    assert incompleteness(model, X, batch_size=size) < 1e-9
    found = sl.deep_lift_shap(model, X, batch_size=size, **SETTINGS)
    monkeypatch.setattr(recurrent, "KINDS", {})
    torch.testing.assert_close(found, sl.deep_lift_shap(model, X, batch_size=size, **SETTINGS), rtol=1e-9, atol=1e-12)


class ByHand(nn.Module):
    """A network of one layer in one direction, with its gates as anyone would write them."""

    def __init__(self, model):
        super().__init__()
        self.model, self.network = model, model.network

    def forward(self, x):
        h = x.mT
        w_ih, w_hh, b_ih, b_hh = self.network._flat_weights
        states = self.model.initial(h)
        kind, outputs = type(self.network), []
        state, cell = states if kind is nn.LSTM else (states, None)
        state, cell = state[0], None if cell is None else cell[0]
        for one in h.unbind(1):
            a, b = one @ w_ih.mT + b_ih, state @ w_hh.mT + b_hh
            if kind is nn.LSTM:
                i, f, g, o = (a + b).chunk(4, 1)
                cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
                state = o.sigmoid() * cell.tanh()
            elif kind is nn.GRU:
                (ar, az, an), (br, bz, bn) = a.chunk(3, 1), b.chunk(3, 1)
                z, n = (az + bz).sigmoid(), (an + (ar + br).sigmoid() * bn).tanh()
                state = (1 - z) * n + z * state
            else:
                state = (a + b).relu() if self.network.nonlinearity == "relu" else (a + b).tanh()
            outputs.append(state)
        y, last = torch.stack(outputs, 1), [one[None] for one in (state, cell) if one is not None]
        return self.model.last(y.mean(1) + y[:, 2] * y[:, 5]) + sum(one[-1, :, :2] * one[0, :, 1:3] for one in last)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", KINDS)
def test_multipliers_are_those_of_gates_by_hand(kind, dtype):
    model, X = Recurrent(kind, "states"), random_one_hot((3, 4, 12), random_state=0)
    model = model.to(getattr(torch, dtype))
    with torch.no_grad():
        for one in model.network.parameters():
            one.mul_(3)  # gates far from linear
    settings = {"n_shuffles": 3, "random_state": 0, "raw_outputs": True, "device": "cpu", "dtype": dtype}
    found, wanted = (sl.deep_lift_shap(one, X, batch_size=6, **settings) for one in (model, ByHand(model)))
    error = 1e-12 if dtype == "float64" else 1e-5
    torch.testing.assert_close(found, wanted, rtol=error, atol=error)


@pytest.mark.parametrize("options", ["plain", "both directions", "no biases"])
@pytest.mark.parametrize("kind", KINDS)
def test_one_operation_has_the_multipliers_of_its_steps(kind, options, monkeypatch):
    model, X = Recurrent(kind, **OPTIONS[options]), random_one_hot((2, 4, 12), random_state=0)
    settings = {"n_shuffles": 3, "random_state": 0, "raw_outputs": True, "device": "cpu", "dtype": "float64"}
    found = sl.deep_lift_shap(model, X, **settings)
    monkeypatch.setattr(recurrent, "KINDS", {})
    torch.testing.assert_close(found, sl.deep_lift_shap(model, X, **settings), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_of_steps_change_nothing(kind, monkeypatch):
    model, X = Recurrent(kind, "states"), random_one_hot((2, 4, 12), random_state=0)
    settings = {"n_shuffles": 3, "random_state": 0, "raw_outputs": True, "device": "cpu", "dtype": "float64"}
    found = sl.deep_lift_shap(model, X, **settings)
    monkeypatch.setattr(steps, "PIECE", 600)
    torch.testing.assert_close(found, sl.deep_lift_shap(model, X, **settings), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn_tanh"])
def test_weights_that_depend_on_the_input(kind, incompleteness):
    class Driven(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = KINDS[kind](4, 2)

        def forward(self, x):
            rows = []
            for one in x:
                weights = [one[0, 2:9].mean() * w for w in self.network._flat_weights]
                state = one.new_zeros(1, 1, 2)
                states = (state, state) if kind == "lstm" else state
                rows.append(getattr(torch, kind)(one.T[:, None], states, weights, True, 1, 0.0, False, False, False)[0])
            return torch.cat(rows, 1).sum(0)

    torch.manual_seed(0)
    X = random_one_hot((2, 4, 14), random_state=0)
    assert incompleteness(Driven().double(), X, batch_size=1) < 1e-9


def with_gradients(model, X, references, loss):
    """Return differentiable attributions, and the gradients of a loss of them at all parameters and both inputs."""
    leaves = [X.clone().requires_grad_(), references.clone().requires_grad_()]
    found = sl.differentiable_attributions(model, *leaves, target=[0, 1])
    of = [*leaves, *(one for one in model.parameters() if one.requires_grad)]
    return found.detach(), torch.autograd.grad(loss(found), of, allow_unused=True)


@pytest.mark.reliability(
    "operations",
    "attributions to train with, of LSTM, GRU and RNN: layers, directions, packed sequences, given states, projections",
    "a layer is one operation, whose multipliers and their derivatives are those of its steps",
)
@pytest.mark.parametrize(
    "make",
    [
        *(
            lambda kind=kind, form=form, options=options: Recurrent(kind, form, **OPTIONS[options])
            for kind in KINDS
            for form, options in (("states", "both directions"), ("packed", "plain"), ("", "no biases"))
        ),
        *(lambda kind=kind: Recurrent(kind, bidirectional=True).requires_grad_(False) for kind in KINDS),
        *(lambda bias=bias: Projected(bias) for bias in (True, False)),
        *(lambda kind=kind: Unequal(kind) for kind in KINDS),
    ],
)
def test_differentiable_attributions_are_those_of_all_steps(make, monkeypatch):
    model = make()
    n = 1 if isinstance(model, Unequal) else 2
    X = random_one_hot((n, 4, 9), random_state=0).double()
    references = random_one_hot((n * n, 4, 9), random_state=1).double().view(n, n, 4, 9)
    weights = torch.randn(n, 2, 4, 9, dtype=torch.float64)

    def loss(found):
        return (found * weights).sum() + found.square().sum()

    found, slopes = with_gradients(model, X, references, loss)
    wanted = sl.deep_lift_shap(model, X, target=[0, 1], references=references, device="cpu", dtype="float64")
    torch.testing.assert_close(found, wanted, rtol=1e-11, atol=1e-13)
    monkeypatch.setattr(recurrent, "KINDS", {})
    same, expected = with_gradients(model, X, references, loss)
    torch.testing.assert_close(found, same, rtol=1e-11, atol=1e-13)
    torch.testing.assert_close(slopes, expected, rtol=1e-10, atol=1e-12)
    assert all(one is None or one.abs().max() > 0 for one in slopes)


@pytest.mark.parametrize("options", ["plain", "both directions"])
@pytest.mark.parametrize("kind", KINDS)
def test_derivatives_in_float32_are_those_in_float64(kind, options):
    model, X = Recurrent(kind, "states", **OPTIONS[options]), random_one_hot((3, 4, 9), random_state=0)
    references, found = random_one_hot((6, 4, 9), random_state=1).view(3, 2, 4, 9), []
    for dtype in (torch.float64, torch.float32):
        model.to(dtype)
        model.zero_grad()
        sl.differentiable_attributions(model, X.to(dtype), references.to(dtype)).square().sum().backward()
        found.append([one.grad.double() for one in model.parameters() if one.grad is not None])
    for one, other in zip(*found, strict=True):
        assert (one - other).abs().max() < 1e-4 * one.abs().max() + 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_network_returns_may_be_written_to(kind):
    class Writing(Recurrent):
        def run(self, h):
            y, last = super().run(h)
            y.mul_(2)
            return y, last

    X = random_one_hot((2, 4, 9), random_state=0)
    for dtype in (torch.float32, torch.float64):
        model, x = Writing(kind).to(dtype), X.to(dtype)
        found = sl.differentiable_attributions(model, x, X.flip(2).unsqueeze(1).to(dtype))
        found.square().sum().backward()
        wanted = sl.deep_lift_shap(model, x, references=X.flip(2).unsqueeze(1), device="cpu", dtype=str(dtype)[6:])
        torch.testing.assert_close(found.detach(), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.reliability(
    "Explaining a model",
    "a recurrent network of tanh is explained with a reference that equals the sequence, in batches of other sizes",
    "the multipliers are the slopes, in each batch: rounding is not divided by rounding",
)
@pytest.mark.parametrize("seed", [27, 30, 39])
@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_references_that_equal_their_sequence(kind, seed):
    torch.manual_seed(seed)
    network, last = kind(4, 6, num_layers=2, bidirectional=True).double(), nn.Linear(12, 1).double()

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.network, self.last = network, last

        def forward(self, x):
            return self.last(self.network(x.permute(2, 0, 1))[0][0])

    X = sl.random_one_hot((3, 4, 1), random_state=seed).double()
    references = sl.random_one_hot((6, 4, 1), random_state=seed + 9).double().view(3, 2, 4, 1)
    found = [
        sl.attribute(Model(), X, references=references, batch_size=size, deltas="ignore").hypothetical
        for size in (1, 2, 3)
    ]
    for one in found[1:]:
        torch.testing.assert_close(one, found[0], rtol=0, atol=1e-10)
