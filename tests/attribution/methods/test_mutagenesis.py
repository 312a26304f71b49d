"""Saturation mutagenesis against a loop that does one mutant at a time, and against tangermeme."""

import sys
from importlib import import_module
from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import seqlight as sl
from seqlight import random_one_hot
from seqlight.attribution.methods.mutagenesis import saturation_mutagenesis
from seqlight.targets import Column

pytestmark = pytest.mark.accelerator

LENGTH = 14


class Net(nn.Module):
    """Remembers how many rows it saw."""

    def __init__(self, letters=4, length=LENGTH, outputs=3):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv1d(letters, 5, 3, padding=1), nn.GELU(), nn.Flatten())
        self.head = nn.Linear(5 * length, outputs)
        self.rows = []

    def forward(self, X):
        self.rows.append(len(X))
        return torch.tanh(self.head(self.body(X)))


class Then(nn.Module):
    """A model, and what becomes of its output."""

    def __init__(self, model, turn):
        super().__init__()
        self.model, self.turn = model, turn

    def forward(self, X):
        return self.turn(self.model(X))


@pytest.fixture
def X():
    X = random_one_hot((3, 4, LENGTH), random_state=0)
    X[1, :, 5:7] = 0
    return X


@pytest.fixture
def model():
    return Net().double()


def explain(model, X, **settings):
    return saturation_mutagenesis(model, X, **{"device": "cpu", **settings})


@torch.no_grad()
def one_by_one(model, X, start, end):
    """Return the outputs on each sequence and on each sequence with each letter at each position."""
    y0 = [model(x[None].double())[0] for x in X]
    y_hat = []
    for x in X:
        for letter in range(X.shape[1]):
            for position in range(start, end):
                mutant = x.clone().double()
                for other in range(X.shape[1]):
                    mutant[other, position] = 1.0 if other == letter else 0.0
                y_hat.append(model(mutant[None])[0])
    return torch.stack(y0), torch.stack(y_hat).view(len(X), X.shape[1], end - start, -1)


@settings(deadline=None, max_examples=40)
@given(
    letters=st.integers(1, 6), length=st.integers(1, 8), rows=st.integers(1, 3), batch_size=st.integers(1, 60),
    region=st.tuples(st.integers(0, 7), st.integers(0, 7)), seed=st.integers(0, 1000),
)  # fmt: skip
def test_mutagenesis_equals_a_loop(letters, length, rows, batch_size, region, seed):
    start, end = sorted(min(one, length - 1) for one in region)
    end += 1
    model = Net(letters, length).double()
    codes = torch.randint(0, letters + 1, (rows, length), generator=torch.Generator().manual_seed(seed))
    X = nn.functional.one_hot(codes, letters + 1)[:, :, :letters].transpose(1, 2).to(torch.int8)
    y0, y_hat = one_by_one(model, X, start, end)
    chosen = {"start": start, "end": end, "batch_size": batch_size}
    model.rows.clear()
    raw = explain(model, X, raw_outputs=True, **chosen)
    assert max(model.rows) <= batch_size
    known = int(X[:, :, start:end].sum())
    # The first sequence beside another one, and that one alone; or only the first.
    asked_again = 1 if batch_size == 1 else min(batch_size, 4) + 1
    assert sum(model.rows) == rows + rows * (end - start) * letters - known + asked_again
    torch.testing.assert_close(raw.y0, y0, rtol=0, atol=1e-14)
    torch.testing.assert_close(raw.y_hat, y_hat, rtol=0, atol=1e-14)
    for target in (None, 1, [2, 0]):
        numbers = y_hat.mean(-1, keepdim=True) if target is None else y_hat[..., target if target != 1 else [1]]
        wanted = torch.stack([one - one.mean(1, keepdim=True) for one in numbers.unbind(-1)], 1)
        here = wanted * X[:, None, :, start:end]
        if not isinstance(target, list):
            wanted, here = wanted[:, 0], here[:, 0]
        found = explain(model, X, target=target, hypothetical=True, **chosen)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-14)
        torch.testing.assert_close(explain(model, X, target=target, **chosen), here, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    "chosen",
    [{}, {"target": 1}, {"start": 3, "end": 9}, {"start": 2, "end": -3, "hypothetical": True}, {"end": LENGTH},
     {"func": lambda y: y[:, 1:] ** 2}, {"batch_size": 5, "raw_outputs": True}],
)  # fmt: skip
def test_equal_to_tangermeme(model, X, chosen):
    pytest.importorskip("tangermeme")
    peer = import_module("tangermeme.saturation_mutagenesis").saturation_mutagenesis
    found, wanted = explain(model, X, **chosen), peer(model, X, device="cpu", fast=False, **chosen)
    for a, b in zip(*((one if isinstance(one, tuple) else (one,)) for one in (found, wanted)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-14)


# Where a region begins and ends.


def test_negative_ends_count_from_after_the_last_position(model, X):
    whole = explain(model, X)
    assert whole.shape == X.shape
    for end in (LENGTH, None):
        assert torch.equal(explain(model, X, end=end), whole)
    assert explain(model, X, start=2, end=-4).shape == (3, 4, LENGTH + 1 - 4 - 2)
    torch.testing.assert_close(explain(model, X, start=2, end=-4), whole[:, :, 2:-3], rtol=0, atol=1e-14)
    torch.testing.assert_close(explain(model, X, start=LENGTH - 1), whole[:, :, -1:], rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("region", "message"),
    [
        ((5, 5), "the region from 5 to 5 is empty"),
        ((5, 2), "the region from 5 to 2 is empty"),
        ((0, LENGTH + 1), f"end is {LENGTH + 1}, off the end"),
        ((-1, 3), "start is -1"),
        ((0, -LENGTH - 5), "end is -4"),
        ((0, 2.5), r"end is 2\.5"),
        ((0, True), "end is True"),
    ],
)
def test_regions_that_cannot_be_used_are_named(model, X, region, message):
    with pytest.raises(sl.InputError, match=message):
        explain(model, X, start=region[0], end=region[1])


# Outputs of models.


class Two(NamedTuple):
    first: torch.Tensor
    second: torch.Tensor


def test_raw_outputs_have_the_structure_of_the_models(model, X):
    wanted = explain(model, X, raw_outputs=True)
    y0, y_hat = explain(Then(model, lambda y: Two(y, {"a": [y[:, 0], None]})), X, raw_outputs=True, batch_size=7)
    assert type(y0) is type(y_hat) is Two
    torch.testing.assert_close(y0.first, wanted.y0)
    torch.testing.assert_close(y_hat.first, wanted.y_hat)
    assert y_hat.second["a"][1] is None
    torch.testing.assert_close(y_hat.second["a"][0], wanted.y_hat[..., 0])
    deep = explain(Then(model, lambda y: y[:, :, None] * torch.arange(5, device=y.device)), X, raw_outputs=True)
    assert deep.y_hat.shape == (3, 4, LENGTH, 3, 5)
    torch.testing.assert_close(deep.y_hat[..., 2], wanted.y_hat * 2)


def test_raw_outputs_are_those_of_the_target(model, X):
    wanted = explain(model, X, raw_outputs=True)
    several = Then(model, lambda y: (y.mean(1), y))
    for target, at in ((Column(2, head=1), 2), ([Column(2, head=1), Column(0, head=1)], [2, 0])):
        y0, y_hat = explain(several, X, target=target, raw_outputs=True)
        torch.testing.assert_close(y0, wanted.y0[:, at])
        torch.testing.assert_close(y_hat, wanted.y_hat[..., at])
    one, pairs = {"target": 1, "raw_outputs": True}, {"pairwise": True, "max_distance": 2}
    whole, chosen = explain(model, X, raw_outputs=True, **pairs), explain(model, X, **one, **pairs)
    torch.testing.assert_close(chosen.y_hat, whole.y_hat[..., 1])


def test_a_letter_that_is_there_already_is_the_sequence_itself(model, X):
    y0, y_hat = explain(model, X, raw_outputs=True)
    for row, letter, position in X.nonzero():
        assert torch.equal(y_hat[row, letter, position], y0[row])
    assert not torch.isclose(y_hat[1, :, 5], y0[1]).all(dim=1).any()


def test_outputs_of_any_shape_are_averaged(model, X):
    wanted = explain(model, X)
    for turn in (lambda y: y.mean(1), lambda y: y[:, :, None, None].expand(-1, -1, 2, 2)):
        for batch_size in (5, 32):
            found = explain(Then(model, turn), X, batch_size=batch_size)
            torch.testing.assert_close(found, wanted, rtol=0, atol=1e-14)


@pytest.mark.parametrize("batch_size", [1, 2, 9])
def test_a_model_that_squeezes_away_a_single_row(X, batch_size):
    model = Net(outputs=1).double()
    wanted = explain(model, X, hypothetical=True)
    squeezing = Then(model, torch.squeeze)
    torch.testing.assert_close(explain(squeezing, X, batch_size=batch_size, hypothetical=True), wanted)
    raw = explain(squeezing, X, batch_size=batch_size, raw_outputs=True)
    assert raw.y_hat.shape == (3, 4, LENGTH)


def test_a_function_chooses_from_several_outputs(model, X):
    both = Then(model, lambda y: (y, y**2))
    wanted = explain(Then(model, lambda y: y[:, :2] ** 2), X)
    torch.testing.assert_close(explain(both, X, func=lambda out: out[1][:, :2]), wanted)
    with pytest.raises(sl.UnsupportedOperation, match="returns a tuple: expected one tensor; choose one"):
        explain(both, X)
    with pytest.raises(sl.InputError, match=r"turned 32 rows into an output of shape \(3,\)"):
        explain(Then(model, lambda y: y.sum(0)), torch.cat([X] * 11))


def test_a_small_change_of_a_large_output_keeps_its_digits(X):
    model = Net().float()
    wanted = explain(model, X, dtype="float64")
    found = explain(Then(model, lambda y: y.double() + 1e6), X)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted.float(), rtol=1e-4, atol=1e-6)


# Unknown characters.


def test_unknown_characters_only_have_hypothetical_attributions(model, X):
    hypothetical, here = explain(model, X, hypothetical=True), explain(model, X)
    assert (here[1, :, 5:7] == 0).all()
    assert (hypothetical[1, :, 5:7] != 0).all()
    torch.testing.assert_close(hypothetical.sum(1), torch.zeros(3, LENGTH, dtype=torch.float64), rtol=0, atol=1e-14)
    torch.testing.assert_close(here, hypothetical * X, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.float16, torch.float64])
def test_sequences_of_any_dtype(model, X, dtype):
    assert torch.equal(explain(model, X.to(dtype)), explain(model, X))


def test_autocast_of_the_caller_does_not_reach_in(model, X):
    expected = explain(model, X)
    with torch.autocast("cpu", torch.bfloat16):
        found = explain(model, X)
    assert torch.equal(found, expected)


def test_progress_is_shown(model, X, capsys):
    explain(model, X, verbose=True)
    assert f"{3 * 4 * LENGTH}/{3 * 4 * LENGTH}" in capsys.readouterr().err


MEMORY = """
import resource, torch, seqlight as sl
from seqlight.attribution.methods.mutagenesis import saturation_mutagenesis

class Mean(torch.nn.Module):
    def forward(self, X):
        return X.mean(dim=(1, 2))

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

X = sl.random_one_hot((2, 4, 2500), random_state=0)
saturation_mutagenesis(Mean(), X, end=20, device="cpu")
before = peak()
found = saturation_mutagenesis(Mean(), X, device="cpu")
print(peak() - before, 3 * X.numel() / 4 * X[0].numel() / 2**20)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts memory as Linux does")
def test_mutants_are_never_in_memory_together(python):
    done = python("-c", MEMORY)
    grown, all_mutants = map(float, done.stdout.split())
    assert all_mutants > 140  # megabytes, as int8
    assert grown < 20
