import numpy as np
import pandas as pd
import pytest
import torch

import seqlight as sl
from seqlight.datasets.planted import load_planted
from seqlight.formats.motifs import jaspar_motifs
from seqlight.seqlets import annotation
from seqlight.seqlets.annotation import annotate_seqlets
from seqlight.seqlets.cuts import cut_seqlets

# Neither resembles its own reverse complement.
SITES = {"one": "TTGACGGAA", "two": "CCAGTAGAAC"}


def frequencies(site):
    return np.where(sl.one_hot_encode(site).numpy() == 1, 0.94, 0.02)


@pytest.fixture(scope="module")
def motifs():
    rng = np.random.RandomState(0)
    others = {f"other {i}": rng.dirichlet([0.3] * 4, size=rng.randint(6, 14)).T for i in range(40)}
    return {**others, **{name: frequencies(site) for name, site in SITES.items()}}


@pytest.fixture(scope="module")
def planted():
    """Return sites on both strands, and seqlets that begin before, at, and after the start of one."""
    X = sl.random_one_hot((5, 4, 40), random_state=3)
    X = torch.cat([sl.substitute(X[:1], SITES["one"], start=10), sl.substitute(X[1:2], SITES["two"], start=20), X[2:]])
    X[2:3] = sl.reverse_complement(sl.substitute(X[2:3], SITES["one"], start=5))  # at 40 - 5 - 9 = 26
    seqlets = pd.DataFrame(
        {
            "example_idx": [0, 1, 2, 0, 2, 1],
            "start": [8, 20, 24, 12, 26, 18],
            "end": [21, 30, 37, 19, 33, 29],
            "attribution": [1.0, 2, 3, 4, 5, 6],
        }
    )
    return X, seqlets


def test_planted_motifs_offsets_and_strands_are_found(planted, motifs):
    X, seqlets = planted
    found = annotate_seqlets(X, seqlets, motifs)
    pd.testing.assert_frame_equal(found[seqlets.columns.to_list()], seqlets)
    assert found["motif"].tolist() == ["one", "two", "one", "one", "one", "two"]
    assert found["motif_offset"].tolist() == [2, 0, 2, -2, 0, 2]
    assert found["motif_strand"].tolist() == ["+", "+", "-", "+", "-", "+"]
    assert (found["motif_p-value"] < 1e-3).all()
    assert (found["motif_q-value"] >= found["motif_p-value"]).all()
    # Oriented by the motif, sites on both strands read the same.
    begins = found["start"] + found["motif_offset"]
    sites = found.assign(start=begins, end=begins + found["motif"].map(lambda name: len(SITES[name])))
    cut = cut_seqlets(X, sites, lengths="list", orient_by="motif_strand").one_hot
    assert [sl.characters(one) for one in cut] == [SITES[name] for name in found["motif"]]


def test_further_motifs_follow_the_best(planted, motifs):
    X, seqlets = planted
    best, three = annotate_seqlets(X, seqlets, motifs), annotate_seqlets(X, seqlets, motifs, n_nearest=3)
    assert len(three) == 3 * len(seqlets)
    assert three["attribution"].tolist() == np.repeat(seqlets["attribution"], 3).tolist()
    pd.testing.assert_frame_equal(three[::3].reset_index(drop=True), best)
    for _, group in three.groupby("attribution"):
        assert group["motif_p-value"].is_monotonic_increasing
        assert group["motif_q-value"].is_monotonic_increasing
    every = annotate_seqlets(X, seqlets[:1], motifs, n_nearest=1000)
    assert sorted(every["motif"]) == sorted(motifs)
    p = every["motif_p-value"].to_numpy()
    wanted = [min(p[j] * len(p) / (j + 1) for j in range(i, len(p))) for i in range(len(p))]
    np.testing.assert_allclose(every["motif_q-value"], np.minimum(wanted, 1))


@pytest.mark.reliability("motifs of other people", "seqlets named by counts, as JASPAR has them", "as by frequencies")
def test_counts_give_the_same_names_as_frequencies(planted, motifs):
    X, seqlets = planted
    rng = np.random.RandomState(0)
    counts = {name: np.stack([rng.multinomial(50, one) for one in motif.T], axis=1) for name, motif in motifs.items()}
    found = annotate_seqlets(X, seqlets, counts)
    pd.testing.assert_frame_equal(found, annotate_seqlets(X, seqlets, {name: one / 50 for name, one in counts.items()}))
    assert found["motif"].tolist() == ["one", "two", "one", "one", "one", "two"]
    uneven = {name: one + (np.arange(one.shape[1]) == 1) for name, one in counts.items()}
    with pytest.raises(sl.InputError, match="motif 'other 0' has a position that does not sum to one, but to 50: exp"):
        annotate_seqlets(X, seqlets, uneven)


def test_annotating_a_few_at_a_time_gives_the_same(planted, motifs, monkeypatch):
    X, seqlets = planted
    at_once = annotate_seqlets(X, seqlets, motifs)
    monkeypatch.setattr(annotation, "SEQLETS_AT_ONCE", 4)
    pd.testing.assert_frame_equal(annotate_seqlets(X, seqlets, motifs), at_once)


def test_no_seqlets(planted, motifs):
    X, seqlets = planted
    found = annotate_seqlets(X, seqlets[:0], motifs)
    assert len(found) == 0
    assert found.dtypes.astype(str)[["motif_p-value", "motif_offset"]].tolist() == ["float64", "int64"]
    assert list(found) == list(annotate_seqlets(X, seqlets[:1], motifs))


def test_few_motifs_warn(planted):
    X, seqlets = planted
    with pytest.warns(UserWarning, match="fewer than 25"):
        found = annotate_seqlets(X, seqlets, {name: frequencies(site) for name, site in SITES.items()})
    assert set(found["motif"]) == set(SITES)


def test_invalid_arguments(planted, motifs):
    X, seqlets = planted
    with pytest.raises(sl.InputError, match="row 0 is empty or has no known"):
        annotate_seqlets(torch.zeros_like(X), seqlets, motifs)
    with pytest.raises(sl.InputError, match="row 0: expected the sequences themselves, not their attributions"):
        annotate_seqlets(0.3 * X, seqlets, motifs)
    with pytest.raises(sl.InputError, match="n_nearest is 0"):
        annotate_seqlets(X, seqlets, motifs, n_nearest=0)
    with pytest.raises(sl.InputError, match="motif 'a' has 9 letters"):
        annotate_seqlets(X, seqlets, {"a": np.ones((9, 4)) / 4})


def test_planted_sites_are_named_by_jaspar():
    pytest.importorskip("pyjaspar")
    split = load_planted(n=40, seed=0).train
    sites = pd.DataFrame(split.motifs._asdict()).rename(columns={"motif": "planted"})
    found = annotate_seqlets(split.X, sites, jaspar_motifs(tax_group="vertebrates"), n_nearest=5)
    found["factor"] = found["motif"].str.split().str[-1].str.upper()
    ap1, ctcf = (found[found["planted"] == i].groupby("example_idx") for i in (0, 1))
    # AP-1 is made of FOS, JUN and their relatives, which all bind TGASTCA.
    family = ("FOS", "JUN", "BATF", "BACH", "NFE2", "JDP")
    assert ap1["factor"].first().str.startswith(family).all()
    assert (ap1["motif_q-value"].first() < 0.01).all()
    # Single spellings of a site that varies.
    assert (ctcf["factor"].first() == "CTCF").mean() > 0.5
    assert ctcf["factor"].agg(lambda five: five.isin(["CTCF", "CTCFL"]).any()).mean() > 0.8


@pytest.mark.reliability("motif files", "an alphabet of four letters that are not those of DNA", "an error")
def test_four_letters_other_than_dna(planted, tmp_path):
    X, seqlets = planted[:2]
    text = "MEME version 4\n{}MOTIF one\nletter-probability matrix: w= 2\n1 0 0 0\n0 1 0 0\n"
    (tmp_path / "a.meme").write_text(text.format("ALPHABET= ADEK\n"))
    table = pd.DataFrame(np.eye(4), index=list("ADEK"))
    for motifs in (
        tmp_path / "a.meme",
        {"one": table},
        {"one": table.T},
        {"one": dict(zip("ADEK", np.eye(4), strict=True))},
    ):
        with pytest.raises(sl.InputError, match=r"motif 'one' has .*A.*D.*E.*K"):
            annotate_seqlets(X, seqlets, motifs)


@pytest.mark.filterwarnings("ignore:. motifs are fewer")
def test_letters_of_either_case_are_recognised(planted):
    X, seqlets = planted[:2]
    motif = frequencies(SITES["one"])
    lower = pd.DataFrame(motif, index=list("aCgT"))
    found = annotate_seqlets(X, seqlets, {"one": lower})
    pd.testing.assert_frame_equal(found, annotate_seqlets(X, seqlets, {"one": motif}))


@pytest.mark.reliability("seqlets", "two tables joined, whose index repeats", "each row is annotated")
def test_joined_tables(planted, motifs):
    X, seqlets = planted[:2]
    joined = pd.concat([seqlets, seqlets])
    found = annotate_seqlets(X, joined, motifs, n_nearest=2)
    pd.testing.assert_frame_equal(found, annotate_seqlets(X, joined.reset_index(drop=True), motifs, n_nearest=2))


def test_sequences_of_five_letters(planted, motifs):
    X, seqlets = planted
    with pytest.raises(sl.InputError, match="X has 5 letters: expected four"):
        annotate_seqlets(torch.cat([X[:, :1] * 0, X], dim=1), seqlets, motifs)
