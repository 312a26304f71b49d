"""Words with known effects are where the table says, and decoys are counted as by hand."""

import numpy as np
import pytest
import torch
from decoy_counting import find, recall
from hypothesis import given, settings
from hypothesis import strategies as st
from spike_in_genotypes import CAUSAL, HERITABILITY, VARIANTS, draw_genotypes
from spike_ins import DECOY, EFFECTS, KINDS, LENGTH, MATTERS, NOISE, ROW, START, WIDTH, draw_sequences, make_units

import seqlight as sl


def spelled(word):
    return "".join("ACGT"[letter] for letter in word)


@settings(max_examples=3)
@given(st.integers(0, 10**6))
def test_sites_hold_their_words_and_the_quantity_follows_from_them(seed):
    units = make_units(seed)
    assert [unit.kind for unit in units] == [kind for kind in KINDS for _ in EFFECTS]
    data = draw_sequences(units, 30, seed)
    letters, expected = sl.characters(data.X), np.zeros(30)
    counts = {}
    for row, start, unit, is_decoy, _ in data.sites.tolist():
        words = units[unit].decoys if is_decoy else units[unit].words
        which = [spelled(word) for word in words].index(letters[row][start : start + WIDTH])
        counts.setdefault((row, unit, is_decoy), [0, 0])[which] += 1
    values = {key: 0 if key[2] else units[key[1]].value(tuple(count)) for key, count in counts.items()}
    for (row, *_), value in values.items():
        expected[row] += value
    # What is left is the noise, and no word is counted twice or left out.
    assert np.abs(data.y.numpy() - expected).max() < 6 * NOISE
    for row, _, unit, is_decoy, matters in data.sites.tolist():
        assert matters == (values[row, unit, is_decoy] != 0)
    starts = [sorted(data.sites[data.sites[:, ROW] == row, START]) for row in range(30)]
    assert all((np.diff(one) > WIDTH).all() and one[-1] <= LENGTH - WIDTH for one in starts)
    assert torch.equal(draw_sequences(units, 30, seed).X, data.X)
    assert 0.3 < data.sites[:, DECOY].mean() < 0.7
    assert data.sites[:, MATTERS].any()


def test_decoys_have_the_letters_of_their_words_and_effects_their_kinds():
    units = make_units(0)
    for unit in units:
        assert len(unit.words) == len(unit.decoys) == (2 if unit.kind == "epistatic" else 1)
        for word, decoy in zip(unit.words, unit.decoys, strict=True):
            assert sorted(word) == sorted(decoy)
            assert word != decoy
    by_kind = {unit.kind: unit for unit in units}
    copies = {"additive": (1, 2, 0), "dominant": (1, 1, 0), "recessive": (0, 1, 0), "null": (0, 0, 0)}
    for kind, expected in copies.items():
        unit = by_kind[kind]
        size = abs(unit.effect)
        assert [abs(unit.value((n, 0))) for n in (1, 2, 0)] == [size * one for one in expected]
    epistatic = by_kind["epistatic"]
    assert [epistatic.value(one) for one in ((1, 0), (0, 1), (1, 1))] == [0, 0, epistatic.effect]


@settings(max_examples=50)
@given(st.data())
def test_found_features_against_loops(data):
    n = data.draw(st.integers(2, 30))
    scores = np.array(data.draw(st.lists(st.integers(0, 8), min_size=n, max_size=n)), dtype=float)
    is_decoy = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    matters = ~is_decoy & np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    if not matters.any():
        matters[0], is_decoy[0] = True, False
    rate = data.draw(st.sampled_from([0.0501, 0.1003, 0.3007]))
    best = np.zeros(n, dtype=bool)
    for threshold in sorted(set(scores), reverse=True):
        chosen = scores >= threshold
        decoys, others = (chosen & is_decoy).sum(), (chosen & ~is_decoy).sum()
        scale = (~is_decoy).sum() / max(is_decoy.sum(), 1)
        if others and decoys / others * scale <= rate:
            best = chosen
    found = find(scores, is_decoy, matters, rate)
    assert (found.chosen == best).all()
    assert found.power == pytest.approx((best & matters).sum() / matters.sum())
    assert 0 <= found.false <= 1
    assert 0 <= recall(scores, matters) <= 1


def test_a_perfect_score_finds_all_and_an_inverted_one_nothing():
    matters = np.array([True, True, False, False, False, False])
    is_decoy = np.array([False, False, False, True, True, True])
    for sign, power in ((1, 1.0), (-1, 0.0)):
        scores = sign * (np.arange(6)[::-1] + 10.0)
        found = find(scores, is_decoy, matters, 0.1)
        assert found.power == recall(scores, matters) == power
    assert find(np.ones(6), is_decoy, matters, 0.1).power == 0


@pytest.mark.parametrize("equal", ["variance", "effect"])
def test_genotypes_have_decoys_of_the_same_alleles_and_effects_as_asked(equal):
    data = draw_genotypes(2000, 1, equal)
    real, decoys = data.X.chunk(2, dim=1)
    assert torch.equal(real.sum(dim=0), decoys.sum(dim=0))
    assert set(data.X.unique().tolist()) == {0, 1, 2}
    assert not data.effects[VARIANTS:].any()
    used = data.effects != 0
    assert used.sum() == CAUSAL
    parts = data.effects**2 * 2 * data.frequencies * (1 - data.frequencies)
    assert parts.sum() == pytest.approx(HERITABILITY)
    same = parts[used] if equal == "variance" else np.abs(data.effects[used])
    assert np.ptp(same) < 1e-12
    score = torch.from_numpy(data.X.double().numpy() @ data.effects)
    both = torch.stack([score, data.y.double()])
    assert float(torch.corrcoef(both)[0, 1]) == pytest.approx(HERITABILITY**0.5, abs=0.1)
