import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight.seqlets.recursive.control import shuffled_control


class Detector(nn.Module):
    """Detects TGACTCA, and multiplies by a further input."""

    def __init__(self):
        super().__init__()
        self.scan = nn.Conv1d(4, 1, 7)
        with torch.no_grad():
            self.scan.weight.copy_(sl.one_hot_encode("TGACTCA").float()[None])
            self.scan.bias.fill_(-4)

    def forward(self, X, weight=None):
        found = torch.relu(self.scan(X)).sum(dim=2)
        found = found if weight is None else found * weight
        return torch.cat([found, 2 * found], dim=1)


@pytest.fixture
def X():
    return sl.substitute(sl.random_one_hot((6, 4, 120), random_state=1), "TGACTCA", start=50)


def test_shuffles_are_drawn_and_attributed_as_documented(X):
    control = shuffled_control(Detector(), X, n=2, random_state=5, n_shuffles=3, target=1)
    assert control.shape == (12, 120)
    for k in range(2):
        shuffled = torch.cat([sl.dinucleotide_shuffle(x[None], random_state=5 + k)[:, 0] for x in X])
        expected = sl.deep_lift_shap(Detector(), shuffled, target=1, n_shuffles=3, random_state=5).sum(dim=1)
        torch.testing.assert_close(control[k::2], expected)


def test_a_seed_fixes_the_control(X):
    one, other = (shuffled_control(Detector(), X, random_state=0, n_shuffles=2) for _ in range(2))
    assert torch.equal(one, other)
    fresh, again = (shuffled_control(Detector(), X, n_shuffles=2) for _ in range(2))
    assert not torch.equal(fresh, again)


def test_further_inputs_go_with_their_sequence(X):
    weight = torch.arange(6.0)[:, None]
    plain = shuffled_control(Detector(), X, n=2, random_state=0, n_shuffles=2)
    weighted = shuffled_control(Detector(), X, (weight,), n=2, random_state=0, n_shuffles=2)
    torch.testing.assert_close(weighted, plain * weight.repeat_interleave(2, dim=0))


def test_each_shuffle_has_the_target_of_its_sequence(X):
    which = torch.tensor([0, 1, 1, 0, 1, 0])
    options = {"n": 2, "random_state": 0, "n_shuffles": 2}
    first, second = (shuffled_control(Detector(), X, target=one, **options) for one in (0, 1))
    expected = torch.where(which.repeat_interleave(2)[:, None] == 1, second, first)
    for target in (which, which.numpy(), which[:, None]):
        torch.testing.assert_close(shuffled_control(Detector(), X, target=target, **options), expected)
    contrast = shuffled_control(Detector(), X, target=sl.Contrast(which, 0), **options)
    torch.testing.assert_close(contrast, expected - first)


def test_unknown_characters_stay(X):
    X[:, :, 30:40] = 0
    assert not shuffled_control(Detector(), X, random_state=0, n_shuffles=2)[:, 30:40].any()


def test_calibrated_calling_finds_the_planted_sites(X):
    X_attr = sl.deep_lift_shap(Detector(), X, random_state=0).sum(dim=1)
    control = shuffled_control(Detector(), X, n=20, random_state=0)
    found = sl.recursive_seqlets(X_attr, X_control=control, target_fdr=0.2, sign="positive")
    hits = found[(found["start"] < 57) & (found["end"] > 50)]
    assert hits["example_idx"].nunique() == 6
    assert len(found) <= 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hypothetical": True}, "hypothetical was asked for"),
        ({"return_references": True}, "return_references was asked for"),
        ({"references": torch.zeros(6, 1, 4, 120)}, "references is a tensor"),
        ({"target": [0, 1]}, "several outputs"),
        ({"target": torch.zeros(5, dtype=torch.int64), "n": 2}, r"expected integers of shape \(6,\)"),
        ({"n": 0}, "n is 0"),
        ({"random_state": 2**32 - 1, "n": 2}, "expected at most"),
        ({"args": (torch.zeros(5, 1),)}, "a row for each"),
    ],
)
def test_invalid_arguments(X, options, message):
    with pytest.raises(sl.InputError, match=message):
        shuffled_control(Detector(), X, **options)
