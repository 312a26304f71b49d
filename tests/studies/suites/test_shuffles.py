"""The study of shuffles: what it says of samplers whose distribution is known."""

import math

import numpy as np
import pandas as pd
import pytest

from seqlight.sequence.one_hot import characters, one_hot_encode
from seqlight.studies.suites import shuffles
from seqlight.studies.suites.permutations import dinucleotide_permutations, last_exits, permutations

TEXT = "ACCCACGATGATA"


def drawn_from(possible, weights=None):
    def sampler(text, n):
        return np.random.RandomState(0).choice(possible, n, p=weights).tolist()

    return sampler


@pytest.fixture(scope="module")
def rows():
    possible = list(dinucleotide_permutations(TEXT))
    slightly = np.linspace(0.7, 1.3, len(possible)) / len(possible)
    samplers = {
        "fair": drawn_from(possible),
        "biased": drawn_from(possible, slightly),
        "wrong": drawn_from([*possible, TEXT[::-1]]),
        **{name: one for name, one in shuffles.DINUCLEOTIDE_SAMPLERS.items() if not name.startswith("tangermeme")},
    }
    return shuffles.dinucleotide_table([TEXT], samplers, draws=7200).set_index("sampler")


def test_a_fair_sampler_passes_and_others_do_not(rows):
    fair, biased, wrong = (rows.loc[name] for name in ("fair", "biased", "wrong"))
    assert fair["found"] == 72
    assert fair["p_possible"] > 0.01
    assert biased["p_possible"] < 1e-6
    assert wrong["outside"] > 0
    assert wrong["p_possible"] == 0


def test_the_distance_is_the_share_that_is_never_drawn(rows):
    assert rows.loc["seqlight, one call", "distance"] == pytest.approx(1 - 9 / 72)
    assert rows.loc["fair", "distance"] < 0.06


@pytest.mark.reliability(
    "shuffles",
    "dinucleotide_shuffle against all sequences with the same pairs of neighbours",
    "it reaches those that keep the last exit of each letter, each with the same probability, and no others",
)
@pytest.mark.parametrize("name", ["seqlight, one call", "seqlight, a seed each"])
def test_ours_is_uniform_where_last_exits_are_kept(rows, name):
    row = rows.loc[name]
    assert row["found"] == row["reachable"] == 9
    assert row["outside"] == 0
    assert row["p_reachable"] > 0.01
    assert row["p_pairs"] > 0.01
    X = one_hot_encode(TEXT)[None]
    drawn = {characters(one) for one in shuffles.dinucleotide_shuffle(X, end=None, n=500, random_state=3)[0]}
    assert drawn == {one for one in dinucleotide_permutations(TEXT) if last_exits(one) == last_exits(TEXT)}


def test_pairs_reveal_draws_that_depend_on_one_another():
    possible = list(permutations("AAC"))
    steady = [one for one in drawn_from(possible)("AAC", 300) for _ in range(2)]
    row = shuffles.sampling_row(steady, possible, possible)
    assert row["p_pairs"] < 1e-6


@pytest.mark.reliability(
    "shuffles", "shuffle against all orders of the letters", "it reaches each of them, with the same probability"
)
def test_shuffle_is_uniform():
    row = shuffles.shuffle_table(["AACGT"], {"seqlight": shuffles.SAMPLERS["seqlight"]}, draws=6000).iloc[0]
    assert row["found"] == row["by_theorem"] == 60
    assert row["p_possible"] > 0.01


def test_a_refusal_and_an_absent_package_are_rows():
    def absent(text, n):
        raise ImportError("nothing of this name")

    samplers = {"absent": absent, "seqlight, one call": shuffles.DINUCLEOTIDE_SAMPLERS["seqlight, one call"]}
    table = shuffles.dinucleotide_table(["ACGTACTGA"], samplers, draws=10)
    assert table["draws"].tolist() == [0, 0]
    assert table["error"].str.contains("nothing of this name|identical").all()


def test_too_few_draws_have_no_p_value():
    assert math.isnan(shuffles.upper_tail([1, 2]))
    assert shuffles.upper_tail([7]) == 1


def test_texts_are_those_of_the_sequences():
    table = shuffles.dinucleotide_table(["ACNGTANCGATNA"], {"uniform": shuffles.DINUCLEOTIDE_SAMPLERS["uniform"]}, 20)
    assert table["outside"].tolist() == [0]
    assert shuffles._texts(one_hot_encode("ACNGT")[None]) == ["ACNGT"]


def test_the_last_but_one_position_never_moves():
    table = shuffles.positions_table(rows=5, shuffles=4, ends=3)
    same = table.pivot(index=["end", "place"], columns="sampler", values="same")
    assert same.loc[("last", 1), "dinucleotide_shuffle"] == 1
    assert same.loc[("last", 1), "uniform"] < 1
    assert same.loc[("first", 0), ["dinucleotide_shuffle", "uniform"]].tolist() == [1, 1]


def test_the_suite_names_its_tables(monkeypatch):
    for name in ("dinucleotide_table", "shuffle_table", "positions_table"):
        monkeypatch.setattr(shuffles, name, lambda: pd.DataFrame())
    assert set(shuffles.SUITE.tables()) == {"dinucleotide_shuffle", "shuffle", "positions"}
