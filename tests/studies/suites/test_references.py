"""The study of references, on a model whose attributions are known."""

import pandas as pd
import pytest
import torch

import seqlight as sl
from seqlight.sequence.one_hot import characters
from seqlight.studies.suites import references
from seqlight.studies.suites.permutations import dinucleotide_permutations
from seqlight.studies.suites.references import BASIS, OTHER_SEEDS, Subject


@pytest.fixture(scope="module")
def subject():
    """Return a linear model, whose attributions are weights at letters minus their mean over references."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(120, 1))
    X = sl.random_one_hot((3, 4, 30), random_state=0)
    motifs = torch.zeros(3, 30, dtype=torch.bool)
    motifs[:, 5:9] = True
    return Subject(model.eval(), X, motifs, sl.random_one_hot((50, 4, 30), random_state=1))


@pytest.fixture(scope="module")
def likenesses(subject):
    return references.likeness_tables({"linear": lambda: subject}, n=40)


def weights(subject):
    return subject.model[1].weight.detach().double().reshape(4, 30)


def test_attributions_are_those_of_the_linear_model(subject):
    found, _ = references.explain(subject, references.zero_references, 1)
    expected = (weights(subject) * subject.X).sum(dim=1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    found, _ = references.explain(subject, references.uniform_references, 1)
    torch.testing.assert_close(found, expected - weights(subject).mean(dim=0), rtol=0, atol=1e-6)


def test_likeness_is_one_with_itself_and_less_with_others(likenesses):
    table = likenesses[0].set_index("references")
    assert table.loc[BASIS, ["r", "rank_r", "top_overlap"]].tolist() == pytest.approx([1, 1, 1])
    assert table.loc[BASIS, "sign_flips"] == 0
    assert 0.9 < table.loc[OTHER_SEEDS, "r"] < 1
    assert table.loc["zeros", "r"] < table.loc[OTHER_SEEDS, "r"]
    assert table["motif_share"].between(0, 1).all()


def test_pairs_are_symmetric(likenesses):
    r = likenesses[1].pivot(index="references", columns="others", values="r")
    pd.testing.assert_frame_equal(r, r.T, check_names=False)
    assert r.shape == (7, 7)


def test_the_output_of_references_is_that_of_the_model(subject, likenesses):
    zeros = likenesses[0].set_index("references").loc["zeros", "output"]
    assert zeros == pytest.approx(subject.model[1].bias.item(), rel=1e-6)


@pytest.fixture(scope="module")
def counts(subject):
    return references.count_table({"linear": lambda: subject}, tolerances=(0.2, 0.05), most=150, long_run=300)


@pytest.mark.reliability(
    "attribution",
    "the standard error of attributions, and n_shuffles='auto', against many more references",
    "the distance that is left is what the standard error says",
)
def test_the_standard_error_is_the_distance_that_is_left(counts):
    assert len(counts) == 9
    assert (counts["distance"] / counts["standard_error"]).between(0.5, 2).all()
    stopped = counts[counts["chosen"] == "auto, 20%"]
    assert (stopped["standard_error"] <= 0.2).all()
    assert (stopped["unfinished"] == 0).all()


def test_the_numbers_that_are_needed_are_those_of_the_square_root(counts):
    assert (counts["needed_1"] / counts["needed_5"]).tolist() == pytest.approx([25] * 9)
    stopped = counts[counts["chosen"] == "auto, 20%"]
    # "auto" takes ten at a time, and knows the error less well.
    assert (stopped["references_median"] - stopped["needed_5"] / 16).abs().max() < 15
    unfinished = counts[counts["chosen"] == "auto, 5%"]
    assert ((unfinished["unfinished"] > 0.5) == (unfinished["needed_5"] > 150)).all()


def test_uniform_shuffles_are_permutations():
    X = sl.one_hot_encode("ACGTACTGA")[None]
    found = references.uniform_dinucleotide_shuffle(X, n=40, random_state=0)
    assert found.shape == (1, 40, 4, 9)
    assert {characters(one) for one in found[0]} == set(dinucleotide_permutations("ACGTACTGA"))


def test_others_are_drawn_from_what_is_given(subject):
    drawn = references.draw_others(subject.others, subject.X, n=2, random_state=0)
    assert drawn.shape == (3, 2, 4, 30)
    assert all((subject.others == one).flatten(1).all(dim=1).any() for one in drawn.flatten(0, 1))


def test_the_suite_names_its_tables(monkeypatch):
    monkeypatch.setattr(references, "likeness_tables", lambda: (pd.DataFrame(), pd.DataFrame()))
    monkeypatch.setattr(references, "count_table", lambda: pd.DataFrame())
    assert set(references.SUITE.tables()) == {"likeness", "pairs", "count"}
