"""Labels and masks of the planted grammars are what they say, checked on the letters alone."""

import re
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import seqlight as sl
from seqlight.studies.suites.planted_grammars import CHANGED, GRAMMARS, MOTIFS, RIGHT_GAP, WIDTH, plant


def starts(letters, motif):
    return [match.start() for match in re.finditer(f"(?={motif})", letters)]


RULES = {
    "single": lambda a, b: len(a) > 0,
    "and": lambda a, b: len(a) > 0 and len(b) > 0,
    "or": lambda a, b: len(a) + len(b) > 0,
    "order": lambda a, b: any(first + 8 <= second for first, second in product(a, b)),
    "spacing": lambda a, b: any(first + 8 + RIGHT_GAP == second for first, second in product(a, b)),
}


@settings(max_examples=25)
@given(st.sampled_from(sorted(GRAMMARS)), st.integers(0, 2**31), st.integers(80, 200), st.integers(1, 6))
def test_the_label_follows_from_the_letters(name, seed, length, half):
    grammar, rule = GRAMMARS[name], RULES[name]
    data = plant(grammar, 2 * half, length, seed)
    assert data.y.tolist() == [1, 0] * half
    for row, letters in enumerate(sl.characters(data.X)):
        a, b = starts(letters, MOTIFS["A"]), starts(letters, MOTIFS["B"])
        assert grammar.holds(a, b) == rule(a, b) == bool(data.y[row])
        # The motifs that matter are all of A and B in a positive; in a negative they are decoys.
        reads = {start + i for start in a + b for i in range(WIDTH)} if data.y[row] else set()
        if name == "single":
            assert not b
        assert set(data.motifs[row].nonzero()[:, 0].tolist()) == reads
        assert not (data.motifs[row] & data.decoys[row]).any()
        assert starts(letters, MOTIFS["C"])


@settings(max_examples=10)
@given(st.sampled_from(sorted(GRAMMARS)), st.integers(0, 999))
def test_positives_and_negatives_have_near_motifs_and_decoys(name, seed):
    data = plant(GRAMMARS[name], 20, 120, seed)
    assert torch.equal(data.X.sum(dim=1), torch.ones(20, 120))
    assert data.decoys.any(dim=1).all()
    # Words come whole: runs of the mask are multiples of their width, for no two words touch.
    both = torch.nn.functional.pad((data.motifs | data.decoys).int(), (1, 1))
    edges = both.diff(dim=1)
    widths = (edges == -1).nonzero()[:, 1] - (edges == 1).nonzero()[:, 1]
    assert (widths == WIDTH).all()
    near = 0
    for row, letters in enumerate(sl.characters(data.X)):
        for start in (edges[row] == 1).nonzero()[:, 0].tolist():
            off = [sum(map(str.__ne__, letters[start : start + WIDTH], motif)) for motif in MOTIFS.values()]
            assert min(off) in (0, CHANGED)
            near += min(off) == CHANGED
    assert near >= 20


def test_the_seed_decides_and_the_global_random_state_is_left():
    grammar = GRAMMARS["spacing"]
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    one, same, other = (plant(grammar, 6, seed=seed) for seed in (3, 3, 4))
    assert all(torch.equal(*pair) for pair in zip(one, same, strict=True))
    assert not torch.equal(one.X, other.X)
    assert not torch.equal(one.X, plant(GRAMMARS["order"], 6, seed=3).X)
    assert (np.random.get_state()[1] == before[0]).all()
    assert torch.equal(torch.get_rng_state(), before[1])


@pytest.mark.parametrize(
    ("n", "length", "message"),
    [(3, 120, "n is 3: expected an even number"), (0, 120, "n is 0"), (2, 30, "length is 30: expected at least 64")],
)
def test_what_cannot_be_planted(n, length, message):
    with pytest.raises(sl.InputError, match=message):
        plant(GRAMMARS["spacing"], n, length)
