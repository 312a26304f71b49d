import zlib

import numpy as np
import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight.metrics.perturbation import Plan, perturbed_outputs

pytestmark = pytest.mark.accelerator

SHARES = (0, 0.05, 0.1, 0.35, 1)


@pytest.fixture
def model():
    torch.manual_seed(0)
    layers = nn.Conv1d(4, 6, 5), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(156, 3)
    return nn.Sequential(*layers).double()


@pytest.fixture
def X():
    return sl.random_one_hot((4, 4, 30), random_state=0)


def outputs(model, X, attributions, **settings):
    return perturbed_outputs(model, X, attributions, Plan(shares=SHARES, n_shuffles=3, **settings))


def perturb_letters(model, X, attributions, kind, target, seed):
    """Return the outputs one letter and one version at a time."""
    model.eval()
    found = torch.zeros(len(X), 2, len(SHARES), dtype=torch.float64)
    for i, row in enumerate(X):
        text = sl.characters(row)
        own = zlib.crc32(bytes("ACGT".index(letter) for letter in text), seed)
        versions = sl.dinucleotide_shuffle(row[None], start=0, end=None, n=3, random_state=own)[0]
        track = [sum(float(attributions[i, c, p]) for c in range(4)) for p in range(30)]
        stream = np.random.RandomState([own, 1])
        for version in versions:
            other = sl.characters(version)
            # The permutation gives the rank of each position in the random order.
            orders = sorted(range(30), key=lambda p: (-track[p], p)), np.argsort(stream.permutation(30))
            for j, order in enumerate(orders):
                for k, share in enumerate(SHARES):
                    changed = set(order[: round(share * 30)])
                    new, old = (other, text) if kind == "deletion" else (text, other)
                    mixed = "".join(new[p] if p in changed else old[p] for p in range(30))
                    with torch.no_grad():
                        found[i, j, k] += float(model(sl.one_hot_encode(mixed)[None].double())[0, target]) / 3
    return found


@pytest.mark.parametrize("kind", ["deletion", "insertion"])
def test_against_a_letter_at_a_time(model, X, kind):
    # Whole numbers, with ties.
    attributions = torch.randint(-2, 3, X.shape).double() * X
    found = outputs(model, X, attributions, kind=kind, target=2, random_state=7, batch_size=5)
    assert torch.allclose(found, perturb_letters(model, X, attributions, kind, 2, 7), atol=1e-12)


def test_outputs_of_a_sequence_do_not_depend_on_its_row(model, X):
    attributions = torch.randn(X.shape)
    found = outputs(model, X, attributions)
    order = torch.tensor([2, 0, 3])
    assert torch.allclose(outputs(model, X[order], attributions[order]), found[order], atol=1e-12)
    assert not torch.allclose(outputs(model, X, attributions, random_state=1)[..., 1:], found[..., 1:])


def test_unknown_characters_are_shuffled_too(model, X):
    X[0, :, 3:6] = 0
    assert outputs(model, X, torch.randn(X.shape)).isfinite().all()


def test_nan_affects_only_its_own_sequence(model, X):
    attributions = torch.randn(X.shape)
    expected = outputs(model, X, attributions)
    attributions[1, 0, 3] = float("nan")
    found = outputs(model, X, attributions)
    assert found[1].isnan().all()
    assert torch.allclose(found[[0, 2, 3]], expected[[0, 2, 3]])


def test_the_model_is_restored(model, X):
    model.train()
    model[1].eval()
    modes = [one.training for one in model.modules()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    before = torch.get_rng_state()
    for target in (0, lambda output: output.nonexistent):
        try:
            outputs(model, X, torch.randn(X.shape, generator=torch.Generator()), target=target)
        except AttributeError:
            assert callable(target)
    assert torch.equal(torch.get_rng_state(), before)
    assert [one.training for one in model.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(one.requires_grad and one.grad is None for one in model.parameters())


def test_targets(model, X):
    attributions = torch.randn(X.shape)
    second = outputs(model, X, attributions, target=1)
    assert torch.equal(outputs(model, X, attributions, target=lambda output: output[:, 1]), second)

    class Flat(nn.Sequential):
        def forward(self, X):
            return super().forward(X)[:, 1]

    assert torch.equal(outputs(Flat(*model), X.double(), attributions), second)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target": 3}, "target is 3: expected at most 2"),
        ({"target": -1}, "target is -1"),
        ({"target": lambda output: output}, r"target gives \(4, 3\): expected a tensor of one number"),
        ({"target": lambda output: 3}, "target gives int"),
        ({"kind": "delete"}, "kind is 'delete'"),
        ({"random_state": -1}, "random_state is -1"),
        ({"attributions": torch.zeros(4, 29)}, "expected the same sequences and positions"),
    ],
)
def test_invalid_arguments(model, X, settings, message):
    arguments = {"attributions": torch.zeros(X.shape)} | settings
    with pytest.raises(sl.InputError, match=message):
        outputs(model, X, **arguments)


@pytest.mark.parametrize("shares", [(0,), (0.1, 1), (0, 0.9), (0, 0.5, 0.5, 1), (0, 2, 1), (0, float("nan"), 1)])
def test_shares_must_rise_from_0_to_1(shares):
    with pytest.raises(sl.InputError, match="expected numbers that rise from 0 to 1"):
        Plan(shares=shares)


def test_a_model_with_other_outputs_needs_a_function(X):
    class Two(nn.Module):
        def forward(self, X):
            return X.sum(dim=(1, 2)), X.sum(dim=(1, 2))

    with pytest.raises(sl.InputError, match="pass a function as target"):
        outputs(Two(), X, torch.zeros(X.shape))
    assert float(outputs(Two(), X, torch.zeros(X.shape), target=lambda pair: pair[1])[0, 0, 0]) == 30
