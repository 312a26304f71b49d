"""Networks of planted grammars are trained reproducibly, and a small case is explained from end to end."""

import pytest
import torch

import seqlight as sl
from seqlight.studies.implementations.chance import CHANCE
from seqlight.studies.suites.planted import NETWORKS, ROWS, SUITE, held_out, planted_cases, trained_network
from seqlight.studies.suites.planted_grammars import GRAMMARS
from seqlight.studies.suites.small_networks import AttentionNetwork, accuracy, convolutional_network, train_network


def recall(contributions, motifs):
    """Return the share of the motif positions among as many top positions, over loops."""
    found = total = 0
    for row, inside in zip(contributions.abs(), motifs, strict=True):
        n = int(inside.sum())
        found += int(inside[row.topk(n).indices].sum())
        total += n
    return found / total


def test_a_network_learns_a_grammar_and_attributions_find_its_motif():
    model = trained_network("single", "convolutional", 0, rows=1000, epochs=10, length=40)
    assert trained_network("single", "convolutional", 0, rows=1000, epochs=10, length=40) is model
    data = held_out("single", 0, rows=200, length=40)
    assert accuracy(model, data.X, data.y) > 0.9
    X, motifs = data.X[::2][:20], data.motifs[::2][:20]
    ours = sl.deep_lift_shap(model, X, n_shuffles=3, random_state=0, device="cpu").sum(dim=1)
    references = sl.dinucleotide_shuffle(X, n=1, random_state=0)
    chance = CHANCE.contributions(model, X.float(), references, (), 0, 0)
    assert torch.equal(chance, CHANCE.contributions(model, X.float(), references, (), 0, 0))
    assert recall(ours, motifs) > 0.6 > 0.4 > recall(chance, motifs)


@pytest.mark.parametrize("make", [convolutional_network, AttentionNetwork])
def test_training_is_reproducible_and_leaves_global_state(make):
    data, threads = held_out("order", 0, rows=64, length=64), torch.get_num_threads()
    before = torch.get_rng_state()
    one, same, other = (train_network(lambda: make(64, 4), data.X, data.y, seed, epochs=2) for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    assert not one.training
    states = [torch.cat([part.flatten() for part in model.state_dict().values()]) for model in (one, same, other)]
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])
    assert one(data.X[:3].float()).shape == (3, 1)


def test_the_cases_hold_positives_and_their_motifs():
    cases = planted_cases(seeds=(0,))
    assert set(cases) == {f"{grammar}, {kind}: seed 0" for grammar, kind in NETWORKS}
    assert {grammar for grammar, _ in NETWORKS} == set(GRAMMARS)
    for case in cases.values():
        assert len(case.X) == len(case.motifs) == ROWS
        assert case.motifs.any(dim=1).all()
        exec(case.source.replace("model =", "model = lambda:"), found := {})
        assert torch.equal(found["X"], case.X)
    assert CHANCE in SUITE.implementations
