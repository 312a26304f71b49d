"""The pages of the suites with tables hold the stored numbers, and these numbers bear out what the pages say."""

import pytest
import study_seqlets
import study_shuffles
from pages import DOCS, fill_section
from suite_tables import read_tables


@pytest.mark.parametrize("study", [study_seqlets, study_shuffles], ids=lambda study: study.SUITE.name)
def test_the_page_has_the_stored_numbers(study):
    page = (DOCS / "studies" / f"{study.SUITE.name}.md").read_text()
    assert fill_section(page, study.table(read_tables(study.SUITE.name))) == page
    assert (DOCS / "studies" / "images" / f"{study.SUITE.name}.png").exists()


def test_what_the_page_of_shuffles_says():
    tables = read_tables("shuffles")
    paired, unpaired = tables["dinucleotide_shuffle"], tables["shuffle"]
    drawn = paired[paired["draws"] > 0]
    uniform = drawn["sampler"] == "uniform"
    assert (paired["possible"] == paired["by_theorem"]).all()
    assert (drawn["outside"] == 0).all()
    assert (drawn["found"] == drawn["reachable"].where(~uniform, drawn["possible"])).all()
    # No p-value of the uniform ones is below what 0.01 allows among so many.
    assert drawn["p_reachable"].min() > 0.01
    assert drawn["p_pairs"].min() > 0.01
    assert drawn.loc[~uniform, "distance"].min() > 0.3 > drawn.loc[uniform, "distance"].max()
    assert (unpaired["found"] == unpaired["possible"]).all()
    assert unpaired["p_possible"].min() > 0.01
    same = tables["positions"].pivot(index=["end", "place"], columns="sampler", values="same")
    gap = (same["dinucleotide_shuffle"] - same["uniform"]).loc["last"]
    assert gap[1] > 0.6
    assert gap[2:6].min() > 0.02 > gap[7:].abs().max()


def test_what_the_page_of_seqlets_says():
    tables = read_tables("seqlets")
    agreement = tables["agreement"]
    assert (agreement["error"] == "").all()
    same = (agreement["calls"] == agreement["common"]) & (agreement["calls_of_other"] == agreement["common"])
    by_other = same.groupby(agreement["other"]).sum()
    shipped = "tangermeme tfmodisco_seqlets"
    others = ("tangermeme recursive_seqlets", "tangermeme recursive_seqlets at a rate", "modisco-lite")
    assert [by_other[name] for name in (*others, f"{shipped}, sums sorted, null of modisco-lite")] == [7] * 4
    rows = agreement[agreement["other"] == shipped]
    ratio = rows["calls_of_other"] / rows["calls"]
    assert ((ratio > 3).sum(), (ratio < 1).sum(), (ratio == 1).sum()) == (5, 1, 1)
    recovery = tables["recovery"].set_index(["track", "caller"])
    assert recovery.loc[("Laplace, strong sites", shipped), "false"] > 0.8
    at_a_rate = recovery.xs("recursive_seqlets at a rate", level="caller")
    default = recovery.xs("recursive_seqlets", level="caller")
    assert at_a_rate["false"].max() <= 0.1
    assert at_a_rate.loc["Laplace", "recall"] < default.loc["Laplace", "recall"] / 2
    null = tables["null"].set_index(["noise", "caller"])
    assert null.xs("recursive_seqlets at a rate", level="caller")["any"].max() <= 0.1
    dozens = null.xs("recursive_seqlets", level="caller")["calls"]
    assert dozens.min() > 24
    assert 3.5 < dozens["neighbours correlated (mean of 5)"] / dozens["Laplace"] < 4.5
    assert (null.xs("tfmodisco_seqlets", level="caller")["any"] == 1).all()
