"""The planted set: its sites are where it says, and its negatives are its positives shuffled."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from labelled_splits import assert_one_hot_with_labels
from seqlight.datasets.planted import IUPAC, MOTIFS, load_planted
from seqlight.errors import InputError

SPLITS = ("train", "valid", "test")
WIDTHS = [len(consensus) for consensus in MOTIFS.values()]


@pytest.fixture(scope="module")
def data():
    return load_planted(n=1000, seed=3)


def pairs(X):
    X = X.float()
    return torch.einsum("nap,nbp->nab", X[:, :, :-1], X[:, :, 1:])


@pytest.mark.parametrize("name", SPLITS)
def test_shapes_and_types(data, name):
    split = getattr(data, name)
    rows = {"train": 700, "valid": 150, "test": 150}[name]
    assert_one_hot_with_labels(split, rows, 100)
    assert split.y.sum() == rows / 2


@pytest.mark.parametrize("name", SPLITS)
def test_intervals_hold_their_motif(data, name):
    split = getattr(data, name)
    n = int(split.y.sum())
    motifs = split.motifs
    assert len(motifs.start) == 2 * n
    assert np.array_equal(np.bincount(motifs.example_idx), np.full(n, 2))
    for row, start, end, motif in zip(*motifs, strict=True):
        consensus = MOTIFS[data.motif_names[motif]]
        assert end - start == len(consensus)
        spelled = "".join("ACGT"[i] for i in split.X[row, :, start:end].argmax(0))
        assert all(letter in IUPAC[code] for letter, code in zip(spelled, consensus, strict=True))


def test_sites_do_not_overlap_and_lie_anywhere(data):
    motifs = data.train.motifs
    start, end = motifs.start.reshape(-1, 2), motifs.end.reshape(-1, 2)
    assert ((end[:, 0] <= start[:, 1]) | (end[:, 1] <= start[:, 0])).all()
    assert start.min() == 0
    assert end.max() == 100
    assert 0.4 < (start[:, 0] < start[:, 1]).mean() < 0.6


def test_every_spelling_occurs(data):
    ap1 = data.train.motifs.motif == 0
    motifs = data.train.motifs
    middle = data.train.X[motifs.example_idx[ap1], :, motifs.start[ap1] + 3].argmax(1)
    assert 0.4 < (middle == 1).float().mean() < 0.6
    assert set(middle.tolist()) == {1, 2}


@pytest.mark.parametrize("name", SPLITS)
def test_negatives_are_shuffled_positives(data, name):
    split = getattr(data, name)
    n = int(split.y.sum())
    assert (split.y[:n] == 1).all()
    assert torch.equal(split.ids[:n], split.ids[n:])
    assert torch.equal(pairs(split.X[:n]), pairs(split.X[n:]))
    assert (split.X[:n] != split.X[n:]).any(2).any(1).all()


def test_splits_share_nothing(data):
    ids = torch.cat([getattr(data, name).ids.unique() for name in SPLITS])
    assert torch.equal(ids.sort().values, torch.arange(500))


def test_background(data):
    split = data.train
    free = torch.ones(350, 100, dtype=torch.bool)
    for row, start, end, _ in zip(*split.motifs, strict=True):
        free[row, start:end] = False
    share = split.X[:350].permute(0, 2, 1)[free].float().mean(0)
    assert torch.allclose(share, torch.tensor([0.295, 0.205, 0.205, 0.295]), atol=0.015)


def test_seeds():
    one, same, other = (load_planted(n=100, seed=seed) for seed in (0, 0, 1))
    for name in SPLITS:
        a, b, c = (getattr(one, name), getattr(same, name), getattr(other, name))
        assert torch.equal(a.X, b.X)
        assert all(np.array_equal(x, y) for x, y in zip(a.motifs, b.motifs, strict=True))
        assert not torch.equal(a.X, c.X)


def test_the_shortest_sequences_are_all_motif():
    data = load_planted(n=40, length=sum(WIDTHS), seed=0)
    motifs = data.train.motifs
    assert (motifs.end - motifs.start).reshape(-1, 2).sum(1).tolist() == [19] * 14


def test_provenance_says_the_call(data):
    record = json.loads(data.provenance)
    assert "load_planted(n=1000, length=100, seed=3)" in record["made by"]
    assert record["motifs"] == dict(MOTIFS)


@pytest.mark.parametrize("options", [{"n": 18}, {"n": 41}, {"n": 40.0}, {"length": 18}, {"seed": -1}])
def test_unusable_options(options):
    with pytest.raises(InputError, match=next(iter(options))):
        load_planted(**options)


def test_a_small_network_learns_it():
    data = load_planted(seed=0)
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv1d(4, 32, 13, padding=6), nn.ReLU(), nn.MaxPool1d(4),
        nn.Conv1d(32, 32, 5, padding=2), nn.ReLU(), nn.MaxPool1d(4),
        nn.Flatten(), nn.Dropout(0.2), nn.Linear(192, 1),
    )  # fmt: skip
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    X, y = data.train.X.float(), data.train.y
    for _ in range(4):
        for batch in torch.randperm(len(X)).split(64):
            optimizer.zero_grad()
            nn.functional.binary_cross_entropy_with_logits(model(X[batch])[:, 0], y[batch]).backward()
            optimizer.step()
    with torch.no_grad():
        score = model.eval()(data.test.X.float())[:, 0]
    above = score[data.test.y == 1][:, None] > score[data.test.y == 0]
    assert above.float().mean() > 0.95
