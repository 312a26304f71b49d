"""A model that returns one of several outputs is the same in all else."""

import pickle

import cloudpickle
import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight.errors import InputError
from seqlight.studies import Study
from seqlight.studies.selected_output import select_output, select_target, what_is_read
from seqlight.targets import Column, Contrast, Counts, Profile
from study_implementations import Net, key_of_case


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


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(24, 2)

    def forward(self, X):
        return X, self.linear(X.flatten(1))


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        (Counts(head=1), lambda y: y[1].sum(1)),
        (Contrast(Column(0, head=1), Column(1, head=1)), lambda y: y[1][:, 0] - y[1][:, 1]),
        (lambda y: y[1][:, 1], lambda y: y[1][:, 1]),
    ],
)
def test_targets_become_a_part_of_the_model(target, wanted):
    model, X = TwoHeads(), torch.rand(3, 4, 6)
    found = select_target(model, target)
    assert torch.equal(found(X), wanted(model(X)).unsqueeze(1))
    assert torch.equal(pickle.loads(cloudpickle.dumps(found))(X), found(X))
    assert list(found.state_dict()) == list(model.state_dict())
    assert type(model(X)) is tuple


@pytest.mark.reliability(
    "studies",
    "a study in the folder of another output or target of the same model",
    "its cells are computed, not reused",
)
def test_a_study_tells_outputs_and_targets_apart():
    X = sl.random_one_hot((1, 4, 6), random_state=0)
    chosen = [{"output": 0}, {"output": 1}, *({"target": one} for one in (Counts(head=1), Counts(task=0, head=1)))]

    def key(options):
        study = Study({"model": TwoHeads()}, X, implementations=["seqlight"], **options)
        return key_of_case(study, "model")

    keys = [key(one) for one in chosen]
    assert len(set(keys)) == 4
    assert keys == [key(one) for one in chosen]


def test_a_text_is_described_as_the_target_that_it_stands_for():
    found, expected = (what_is_read(select_target(TwoHeads(), one)) for one in ("Counts(head=1)", Counts(head=1)))
    assert found == expected


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (Profile(weights="constant"), "a study evaluates other sequences"),
        ([0, 1], "target is a list: expected one target, the same for all sequences"),
        (torch.zeros(1, dtype=torch.int64), "the same for all sequences"),
        ("cuonts", "target is 'cuonts': did you mean 'counts'"),
        ("[0, 1]", "target is a list: expected one target, the same for all sequences"),
    ],
)
def test_targets_that_a_study_cannot_take(target, message):
    with pytest.raises(InputError, match=message):
        select_target(TwoHeads(), target)
