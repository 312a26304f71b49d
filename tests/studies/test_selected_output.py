"""A model that returns one of several outputs is the same in all else."""

import pickle

import cloudpickle
import pytest
import torch
from torch import nn

from seqlight.errors import InputError
from seqlight.studies.selected_output import select_output
from study_implementations import Net


class Heads(nn.Module):
    def __init__(self, kind=tuple):
        super().__init__()
        self.trunk, self.kind = Net(), kind

    def forward(self, x):
        profile, counts = x.unsqueeze(1).expand(-1, 3, -1, -1), self.trunk(x)
        return {"profile": profile, "counts": counts} if self.kind is dict else self.kind((profile, counts))


@pytest.mark.parametrize(("kind", "outputs"), [(tuple, (0, 1)), (list, (-2, -1)), (dict, ("profile", "counts"))])
def test_outputs(kind, outputs):
    model, x = Heads(kind), torch.rand(2, 4, 20)
    profile, counts = (select_output(model, one)(x) for one in outputs)
    torch.testing.assert_close(profile, x.mean(dim=(1, 2))[:, None].expand(2, 3))
    torch.testing.assert_close(counts, model.trunk(x))


def test_names_weights_and_class_are_the_same_and_the_model_is_not_changed():
    model = Heads()
    selected = select_output(model, 1)
    assert [name for name, _ in selected.named_modules()] == [name for name, _ in model.named_modules()]
    assert selected.trunk.conv.weight is model.trunk.conv.weight
    assert type(selected).__name__ == "Heads"
    assert isinstance(selected, Heads)
    assert type(model) is Heads
    assert isinstance(model(torch.rand(1, 4, 20)), tuple)


def test_it_can_be_sent():
    x = torch.rand(2, 4, 20)
    sent = pickle.loads(cloudpickle.dumps(select_output(Heads(), 1)))
    torch.testing.assert_close(sent(x), select_output(Heads(), 1)(x))


@pytest.mark.parametrize(
    ("kind", "output", "message"),
    [(tuple, 2, "a tuple of 2: give a number from 0 to 1"), (dict, 0, "'profile', 'counts': give one of these keys")],
)
def test_a_choice_that_is_not_there(kind, output, message):
    with pytest.raises(InputError, match=message):
        select_output(Heads(kind), output)(torch.rand(1, 4, 20))
