"""An ensemble's output is the mean of its members, each turned and moved back by the stated rules."""

import copy
import pickle
from collections import namedtuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import seqlight as sl
from seqlight.errors import InputError
from seqlight.results.fingerprints import fingerprint_model


def network(seed=0, outputs=2, positions=20):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv1d(4, 6, 5), nn.ReLU(), nn.Flatten(), nn.Linear(6 * (positions - 4), outputs)).double()


class Tracks(nn.Module):
    """A number for each position and strand, and a count: what each position says of itself and its neighbour."""

    def __init__(self, crop=0):
        super().__init__()
        torch.manual_seed(1)
        self.weight = nn.Parameter(torch.randn(2, 4, 3, dtype=torch.float64))
        self.crop = crop

    def forward(self, X):
        y = F.conv1d(X, self.weight, padding=1)
        return y[:, :, self.crop : y.shape[2] - self.crop], y.sum(dim=(1, 2)).unsqueeze(1)


X = sl.random_one_hot((3, 4, 20), random_state=0).double()
REVERSED = sl.reverse_complement(X)


def test_folds():
    folds = [network(seed) for seed in range(3)]
    wanted = torch.stack([one(X) for one in folds]).mean(0)
    assert torch.allclose(sl.Ensemble(folds)(X), wanted, rtol=0, atol=1e-15)
    assert torch.equal(sl.Ensemble(folds[0])(X), folds[0](X))
    assert torch.allclose(sl.predict(sl.Ensemble(folds), X), wanted, rtol=0, atol=1e-15)


def test_strands():
    model = network()
    assert torch.equal(sl.Ensemble(model, "reverse")(X), model(REVERSED))
    assert torch.allclose(sl.Ensemble(model, "both")(X), (model(X) + model(REVERSED)) / 2, rtol=0, atol=1e-15)


def test_shifts():
    model, found = network(), []
    for shift in (-3, 0, 4):
        moved = torch.zeros_like(X)
        moved[:, :, max(shift, 0) : 20 + min(shift, 0)] = X[:, :, max(-shift, 0) : 20 - max(shift, 0)]
        found.append(model(moved))
        assert torch.equal(sl.Ensemble(model, shifts=[shift])(X), found[-1])
    assert torch.allclose(sl.Ensemble(model, shifts=(-3, 0, 4))(X), torch.stack(found).mean(0), rtol=0, atol=1e-15)


def test_profiles_come_back_in_the_order_of_the_sequence():
    model = Tracks()
    profile, counts = sl.Ensemble(model, "reverse", positions=2, strand_channels=1)(X)
    there = model(REVERSED)
    assert torch.equal(profile, there[0].flip(1, 2))
    assert torch.equal(counts, there[1])
    # Without channels for strands only positions are turned.
    assert torch.equal(sl.Ensemble(model, "reverse", positions=2)(X)[0], there[0].flip(2))
    assert torch.equal(sl.Ensemble(model, "reverse", positions="none")(X)[0], there[0])


@pytest.mark.parametrize("strands", ["forward", "reverse", "both"])
@pytest.mark.parametrize("shift", [1, -1, 3, -4])
def test_profiles_of_shifted_sequences_are_moved_back(shift, strands):
    """Of a model that looks at neighbours only, what is inside is as without the shift."""
    model = Tracks(crop=2)
    options = {"strands": strands, "positions": 2, "strand_channels": 1}
    plain, _ = sl.Ensemble(model, **options)(X)
    moved, _ = sl.Ensemble(model, shifts=(shift,), **options)(X)
    inside = slice(4, -4)
    assert torch.allclose(moved[:, :, inside], plain[:, :, inside], rtol=0, atol=1e-14)
    if shift > 0:  # the last position is that of the nearest one that was predicted
        assert torch.equal(moved[:, :, -1], moved[:, :, -2])


def test_bins_are_moved_by_whole_bins():
    class Bins(nn.Module):
        def forward(self, X):
            return X[:, :1].unflatten(2, (10, 2)).sum(3)

    for shift, bins in ((1, 0), (-1, 0), (2, 1), (3, 1), (-4, -2)):
        found = sl.Ensemble(Bins(), shifts=(shift,), positions=2, resolution=2)(X)
        wanted = Bins()(sl.Ensemble(nn.Identity(), shifts=(shift,), positions="none")(X))
        inside = slice(2, -2)
        assert torch.equal(found[:, :, inside], wanted.roll(-bins, 2)[:, :, inside])


def test_tracks_among_the_further_inputs():
    class Controlled(nn.Module):
        def forward(self, X, control, scale):
            return (X[:, :1] * control).sum(2) * scale

    control, scale = torch.rand(3, 2, 20).double(), torch.rand(3, 1).double()
    ensemble = sl.Ensemble(Controlled(), "both", (0, 2), tracks=(0,))
    backward = Controlled()(REVERSED, control.flip(1, 2), scale)
    assert torch.equal(sl.Ensemble(Controlled(), "reverse", tracks=[0])(X, control, scale), backward)
    assert ensemble(X, control, scale).shape == (3, 2)
    with pytest.raises(InputError, match=r"args\[0\] has shape \(3, 2, 20\), perhaps of tracks.*tracks=\(0,\)"):
        sl.Ensemble(Controlled(), "both")(X, control, scale)
    assert torch.equal(
        sl.Ensemble(Controlled(), "reverse", tracks=())(X, control, scale), Controlled()(REVERSED, control, scale)
    )


def test_a_member_that_writes_to_its_input_does_not_change_that_of_another():
    class Writing(nn.Module):
        def forward(self, X):
            return X.mul_(2).sum(dim=(1, 2))

    given = X.clone()
    assert sl.Ensemble([Writing(), Writing()], shifts=(0, 1))(given).max() <= 40
    assert torch.equal(given, X)


Heads = namedtuple("Heads", "a b")


def test_outputs_of_any_structure():
    class Structured(nn.Module):
        def __init__(self, n):
            super().__init__()
            self.n = n

        def forward(self, X):
            return {"heads": Heads(X[:, 0, :1] * self.n, [X[:, 1, :2] + self.n]), "none": None}

    found = sl.Ensemble([Structured(1.0), Structured(3.0)])(X)
    assert torch.equal(found["heads"].a, X[:, 0, :1] * 2)
    assert torch.equal(found["heads"].b[0], X[:, 1, :2] + 2)


def test_other_alphabets():
    model = nn.Sequential(nn.Flatten(), nn.Linear(6 * 10, 1)).double()
    Y = sl.random_one_hot((2, 6, 10), random_state=0).double()
    partners = (1, 0, 2, 4, 3, 5)
    assert torch.equal(sl.Ensemble(model, "reverse", complement=partners)(Y), model(Y[:, list(partners)].flip(2)))
    with pytest.raises(InputError, match=r"X has 6 letters.*complement of 4: expected DNA or RNA"):
        sl.Ensemble(model, "both")(Y)
    assert torch.equal(sl.Ensemble(model)(Y), model(Y))


@pytest.mark.reliability("ensembles", "members that cannot be put together", "refused, and the member is named")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sl.Ensemble([]), "models is empty"),
        (lambda: sl.Ensemble("model"), "models is a str"),
        (lambda: sl.Ensemble([network(), 3]), "models hold an int"),
        (lambda: sl.Ensemble([network], "both"), "models hold a function"),
        (lambda: sl.Ensemble(network(), "+"), r"strands is '\+': expected one of 'forward', 'reverse' and 'both'"),
        (lambda: sl.Ensemble(network(), shifts=()), "expected at least one, and each once"),
        (lambda: sl.Ensemble(network(), shifts=(1, 1)), "each once"),
        (lambda: sl.Ensemble(network(), shifts=(0.5,)), "expected whole numbers"),
        (lambda: sl.Ensemble(network(), shifts=3), "expected whole numbers"),
        (lambda: sl.Ensemble(network(), complement=(0, 2, 1, 1)), "the partner of each letter"),
        (lambda: sl.Ensemble(network(), complement=(1, 2, 3, 0)), "whose partner it is"),
        (lambda: sl.Ensemble(network(), positions=0), "positions is 0: expected a dimension of the output, from 1 on"),
        (lambda: sl.Ensemble(network(), strand_channels="none"), "strand_channels is 'none'"),
        (lambda: sl.Ensemble(network(), resolution=0), "resolution is 0"),
        (
            lambda: sl.Ensemble([network(), network(outputs=3)])(X),
            r"fold 1 returns shape \(3, 3\) and fold 0 shape \(3, 2\)",
        ),
        (lambda: sl.Ensemble([network(), Tracks()])(X), r"fold 1 returns shape \(3, 2, 20\) and shape \(3, 1\)"),
        (
            lambda: sl.Ensemble(Tracks(), "both")(X),
            r"fold 0, reverse strand returns .*\(3, 2, 20\): expected .*positions=",
        ),
        (lambda: sl.Ensemble(Tracks(), shifts=(2,))(X), "fold 0, shift 2 returns"),
        (lambda: sl.Ensemble(network(), shifts=(20,))(X), "shift is 20 and the sequence has 20 positions"),
    ],
)
def test_what_is_no_ensemble(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_it_is_a_module():
    ensemble = sl.Ensemble([network(0), network(1)], "both", (0, 2))
    assert ensemble.shape == (2, 2, 2)
    assert len(ensemble) == len(ensemble.members()) == 8
    assert len(list(ensemble.parameters())) == 8
    other = sl.Ensemble([network(2), network(3)], "both", (0, 2))
    other.load_state_dict(ensemble.state_dict())
    assert torch.equal(other(X), ensemble(X))
    for same in (pickle.loads(pickle.dumps(ensemble)), copy.deepcopy(ensemble)):
        assert torch.equal(same(X), ensemble(X))
    assert ensemble.float()(X.float()).dtype == torch.float32
    assert "strands='both', shifts=(0, 2)" in repr(ensemble)


def test_a_run_tells_ensembles_apart():
    model = network()
    found = [
        fingerprint_model(one)
        for one in (
            sl.Ensemble(model),
            sl.Ensemble([model, model]),
            sl.Ensemble(model, "both"),
            sl.Ensemble(model, shifts=(0, 1)),
            sl.Ensemble(model, shifts=(0, 2)),
            sl.Ensemble(model, positions=2),
            sl.Ensemble(model, tracks=(0,)),
        )
    ]
    assert all(one not in found[:i] for i, one in enumerate(found))
    assert fingerprint_model(sl.Ensemble(network(), "both")) == found[2]


@settings(max_examples=25)
@given(
    st.integers(1, 3),
    st.sampled_from(["forward", "reverse", "both"]),
    st.lists(st.integers(-7, 7), min_size=1, max_size=3, unique=True),
)
def test_any_ensemble_is_the_mean_of_its_members(folds, strands, shifts):
    ensemble = sl.Ensemble([network(seed) for seed in range(folds)], strands, shifts)
    members = ensemble.members()
    assert len(members) == torch.Size(ensemble.shape).numel()
    wanted = torch.stack([one(X) for one in members]).mean(0)
    assert torch.allclose(ensemble(X), wanted, rtol=0, atol=1e-14)


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.integers(1, 30))
def test_an_ensemble_of_both_strands_says_the_same_of_both(seed, positions):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(4, 3, 1), nn.Tanh()).double()
    Y = sl.random_one_hot((2, 4, positions), random_state=seed).double()
    ensemble = sl.Ensemble(model, "both", positions=2)
    turned = ensemble(sl.reverse_complement(Y))
    assert torch.allclose(ensemble(Y), turned.flip(2), rtol=0, atol=1e-14)
