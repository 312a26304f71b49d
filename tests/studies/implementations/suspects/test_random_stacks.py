"""Whatever modules follow one another: where nothing is suspected, contributions add up."""

import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import seqlight as sl
from seqlight.studies.implementations.captum_deeplift import CAPTUM_DEEPLIFT
from seqlight.studies.implementations.deep_lift_shap import SEQLIGHT
from seqlight.studies.implementations.implementation import INPUTS
from seqlight.studies.implementations.tangermeme import TANGERMEME
from spelled_models import Called, Gate, OwnReLU, Residual

X = sl.random_one_hot((2, 4, 32), random_state=2).double()
REFERENCES = sl.dinucleotide_shuffle(X, n=1, random_state=0).double()
PARTS = {
    "conv": lambda: nn.Conv1d(6, 6, 3, padding=1),
    "norm": lambda: nn.BatchNorm1d(6),
    "relu": nn.ReLU,
    "relu in place": lambda: nn.ReLU(inplace=True),
    "own relu": OwnReLU,
    "relu function": lambda: Called(torch.relu),
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "pool": lambda: nn.MaxPool1d(2, ceil_mode=True),
    "pool overlap": lambda: nn.MaxPool1d(3, 1, 1),
    "identity": nn.Identity,
    "dropout": nn.Dropout,
    "times one": lambda: Called(lambda x: x * 1.0),
    "contiguous": lambda: Called(lambda x: x.contiguous()),
    "write": lambda: Called(lambda x: x.mul_(2.0)),
    "shape": lambda: Called(lambda x: x[: x.shape[0]]),
    "beside relu": lambda: Residual(nn.ReLU()),
    "beside conv": lambda: Residual(nn.Sequential(nn.Conv1d(6, 6, 3, padding=1), nn.ReLU())),
    "gate": Gate,
}


def make(names, reused):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = {}
        parts = [made.setdefault(name, PARTS[name]()) if reused else PARTS[name]() for name in names]
        return nn.Sequential(nn.Conv1d(4, 6, 3), *parts, Called(lambda x: x.sum(2)), nn.Linear(6, 1)).double().eval()


def find_miss(peer, names, reused):
    """Return the share of the output difference that is missed, or the error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = peer.contributions(make(names, reused), X, REFERENCES, (), 0, 0)
        except (RuntimeError, KeyError) as error:
            return error
    model = make(names, reused)
    with torch.no_grad():
        expected = model(X) - model(REFERENCES[:, 0])
    return float((found.sum(dim=2) - expected).abs().mean() / expected.abs().mean())


@pytest.mark.reliability(
    "studies",
    "attributions of layers in any order, some of them used twice, in place or beside others",
    "ours add up; and where no operation is suspected, those of tangermeme and Captum do",
)
@given(st.lists(st.sampled_from(sorted(PARTS)), min_size=1, max_size=5), st.booleans())
@settings(max_examples=15, deadline=None)
def test_without_suspects_contributions_add_up(names, reused):
    table = sl.audit(make(names, reused), X[:1], references=REFERENCES[:1], device="cpu").table
    table.attrs[INPUTS] = (X,)
    assert find_miss(SEQLIGHT, names, reused) < 1e-9
    for peer in (TANGERMEME, CAPTUM_DEEPLIFT):
        missed = find_miss(peer, names, reused)
        if not isinstance(missed, float) or missed > 1e-9:
            assert peer.suspects(make(names, reused), table), missed
