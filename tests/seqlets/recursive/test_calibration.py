import pandas as pd
import pytest
import torch
from pandas.testing import assert_frame_equal
from torch import nn

import seqlight as sl
from seqlight.seqlets.recursive.calibration import calibrated_seqlets

SITE = "TGACTCA"


class Detector(nn.Module):
    """Detects a site, and multiplies by a further input; counts how often it is called."""

    def __init__(self):
        super().__init__()
        self.scan = nn.Conv1d(4, 1, 7)
        with torch.no_grad():
            self.scan.weight.copy_(sl.one_hot_encode(SITE).float()[None])
            self.scan.bias.fill_(-4)
        self.calls = 0

    def forward(self, X, weight=None):
        self.calls += 1
        found = torch.relu(self.scan(X)).sum(dim=2)
        found = found if weight is None else found * weight
        return torch.cat([found, -found], dim=1)


@pytest.fixture
def X():
    return sl.substitute(sl.random_one_hot((30, 4, 90), random_state=1), SITE, start=50)


def test_it_equals_the_three_calls(X):
    weight = torch.arange(1.0, 31)[:, None]
    loci = pd.DataFrame({"chrom": "chr1", "start": range(0, 3000, 100), "end": range(90, 3090, 100), "strand": "-"})
    calling = {"target_fdr": 0.9, "additional_flanks": 1, "loci": loci, "sign": "positive"}
    found = calibrated_seqlets(Detector(), X, (weight,), n_control=2, random_state=7, n_shuffles=3, **calling)
    X_attr = sl.deep_lift_shap(Detector(), X, (weight,), random_state=7, n_shuffles=3)
    control = sl.shuffled_control(Detector(), X, (weight,), n=2, random_state=7, n_shuffles=3)
    table, fdr = sl.recursive_seqlets(X_attr.sum(dim=1), X_control=control, return_fdr=True, **calling)
    assert torch.equal(found.attributions, X_attr)
    assert torch.equal(found.control, control)
    assert_frame_equal(found.seqlets, table)
    assert_frame_equal(found.fdr, fdr)
    assert len(table) > 20


def test_planted_sites_are_found_and_little_else(X):
    found = calibrated_seqlets(Detector(), X, sign="positive", random_state=0, n_shuffles=4).seqlets
    sites = pd.DataFrame({"example_idx": range(30), "start": 50, "end": 57})
    agreement = sl.overlap(found, sites)
    assert agreement.recall == 1
    assert agreement.precision >= 0.9


def test_the_second_output_has_the_negative_seqlets(X):
    options = {"random_state": 0, "n_shuffles": 4}
    one = calibrated_seqlets(Detector(), X, sign="positive", **options).seqlets
    other = calibrated_seqlets(Detector(), X, sign="negative", target=1, **options).seqlets
    assert_frame_equal(other.assign(attribution=-other["attribution"]), one)


def test_without_a_seed_each_call_draws_anew(X):
    first, second = (calibrated_seqlets(Detector(), X, target_fdr=0.9, sign="positive", n_shuffles=2) for _ in range(2))
    assert not torch.equal(first.control, second.control)
    assert not torch.equal(first.attributions, second.attributions)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_fdr": 0}, "`target_fdr` is 0"),
        ({"target_fdr": None}, "`target_fdr` is None"),
        ({"sign": "neg"}, "`sign` is 'neg'"),
        ({"n_control": 0}, "n_control is 0"),
        ({"min_seqlet_len": 0}, "min_seqlet_len is 0"),
        ({"additional_flanks": 1.5}, "additional_flanks is 1.5"),
        ({"n_bins": 1}, "n_bins is 1"),
        ({"loci": pd.DataFrame({"chrom": ["chr1"], "start": [0], "end": [90]})}, "1 loci for 30"),
        ({"hypothetical": True}, "hypothetical was asked for"),
        ({"random_state": -1}, "random_state is -1"),
    ],
)
def test_invalid_arguments_are_refused_before_anything_is_attributed(X, options, message):
    model = Detector()
    with pytest.raises(sl.InputError, match=message):
        calibrated_seqlets(model, X, **options)
    assert model.calls == 0


def test_a_rate_that_is_not_reached_is_a_warning():
    X = sl.random_one_hot((3, 4, 60), random_state=0)
    with pytest.warns(sl.SeqlightWarning, match="No threshold reaches") as caught:
        found = calibrated_seqlets(Detector(), X, target_fdr=1e-3, sign="positive", random_state=0, n_shuffles=2)
    assert found.seqlets.empty
    assert len(caught) == 1
