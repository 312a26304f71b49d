"""Which layers a model has, from its output on, and how each is re-initialised."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from seqlight.studies.randomization.layers import find_layers, reset_layer

X = torch.randn(2, 4, 12, generator=torch.Generator().manual_seed(0))


class Swapped(nn.Module):
    """Defined in another order than called, with a parameter of its own and a layer that is never called."""

    def __init__(self):
        super().__init__()
        self.head, self.body = nn.Linear(12, 1), nn.Conv1d(4, 3, 3, padding=1)
        self.norm, self.offset, self.unused = nn.BatchNorm1d(3, affine=False), nn.Parameter(torch.zeros(1)), nn.ReLU()

    def forward(self, X):
        return self.head(self.norm(self.body(X + self.offset))).mean(dim=1)


def names(model, X=X):
    return [layer.name for layer in find_layers(model, lambda: model(X))]


def test_layers_are_in_the_order_of_their_calls_from_the_output_on():
    assert names(Swapped()) == ["head", "norm", "body", "the model itself"]
    assert names(nn.Sequential(nn.Conv1d(4, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(30, 1))) == ["3", "0"]
    # One that is called twice stands where it is called last.
    shared = nn.Conv1d(4, 4, 1)
    assert names(nn.Sequential(shared, nn.Conv1d(4, 4, 1), shared)) == ["0", "1"]


def test_a_layer_that_is_not_called_itself_stands_by_its_neighbour():
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).eval()
    with torch.no_grad():  # where PyTorch would call no submodule at all
        found = names(nn.Sequential(layer, nn.Linear(4, 1)), X.transpose(1, 2))
    assert found == ["1", "0.norm2", "0.linear2", "0.linear1", "0.norm1", "0.self_attn.out_proj", "0.self_attn"]


def test_hooks_are_removed_also_after_an_error():
    model = Swapped()
    with pytest.raises(RuntimeError):
        find_layers(model, lambda: model(X[:, :1]))
    assert not any(one._forward_pre_hooks for one in model.modules())


class Replacing(nn.Linear):
    """Makes new parameters in place of the old ones."""

    def reset_parameters(self):
        self.weight, self.bias = nn.Parameter(torch.randn(3, 3)), nn.Parameter(torch.zeros(3))


class Free(nn.Module):
    """Has no such method."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.arange(12.0).view(3, 4))


class Asking(Free):
    """Needs an argument."""

    def reset_parameters(self, scale):
        self.weight.mul_(scale)


@pytest.mark.parametrize(
    ("module", "how"),
    [
        (nn.Conv1d(4, 3, 3), "reset_parameters"),
        (nn.LSTM(4, 3), "reset_parameters"),
        (nn.Embedding(4, 3), "reset_parameters"),
        (Replacing(3, 3), "reset_parameters"),
        (Free(), "permuted"),
        (nn.MultiheadAttention(4, 2), "permuted"),
        # Its method does not reach what the weight is computed from.
        (parametrizations.weight_norm(nn.Linear(4, 3)).parametrizations.weight, "permuted"),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, nn.Module) else one,
)
def test_each_parameter_is_re_initialised(module, how):
    before = {name: one.detach().clone() for name, one in module.named_parameters(recurse=False)}
    assert reset_layer(module) == how
    for name, one in module.named_parameters(recurse=False):
        constant = bool((before[name] == before[name].flatten()[0]).all())
        assert constant or not torch.equal(one, before[name]), name
        if how == "permuted":
            assert torch.equal(one.detach().flatten().sort().values, before[name].flatten().sort().values)


def test_a_method_that_fails_is_as_good_as_none():
    module = Asking()
    before = module.weight.detach().clone()
    assert reset_layer(module) == "permuted"
    assert not torch.equal(module.weight, before)


def test_a_normalisation_forgets_what_it_has_seen():
    norm = nn.BatchNorm1d(4, affine=False)
    norm(X + 3)
    reset_layer(norm)
    assert norm.running_mean.tolist() == [0.0] * 4
    assert norm.running_var.tolist() == [1.0] * 4
