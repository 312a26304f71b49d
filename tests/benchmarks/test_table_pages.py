"""The pages of the suites with tables hold the stored numbers, and these numbers bear out what the pages say."""

import pandas as pd
import pytest
import study_numerics
import study_references
import study_seqlets
import study_shuffles
from pages import DOCS, fill_section
from suite_tables import read_tables


@pytest.mark.parametrize(
    "study", [study_numerics, study_references, study_seqlets, study_shuffles], ids=lambda study: study.SUITE.name
)
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


def test_equal_rows_are_joined_and_unequal_ones_are_not():
    rows = pd.DataFrame({"sequence": "AC", "draws": 9, "sampler": ["seqlight", "tangermeme", "uniform"], "p": 0.5})
    joined = study_shuffles.join_equal(rows, ["p"])
    assert joined["sampler"].tolist() == ["seqlight and tangermeme", "uniform"]
    rows.loc[1, "p"] = 0.4
    assert study_shuffles.join_equal(rows, ["p"])["sampler"].tolist() == ["seqlight", "tangermeme", "uniform"]


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


def test_what_the_page_of_references_says():
    tables = read_tables("references")
    likeness = tables["likeness"].set_index(["references", "network"])
    other_seeds, uniform = (
        likeness.loc[name] for name in ("dinucleotide shuffle, other seeds", "uniform dinucleotide shuffle")
    )
    assert other_seeds["top_overlap"].min() > 0.94
    assert min(uniform["r"].min(), likeness.loc["shuffle", "r"].min()) > 0.989
    told = other_seeds["r"] - uniform["r"]
    assert ((told > 0.001).sum(), told.max() < 0.01) == (2, True)
    others = likeness.loc["other sequences", "r"]
    assert (round(others.min(), 2), others.idxmin(), round(others.max(), 3)) == (0.92, "E. coli starts", 0.995)
    none = likeness.loc[["zeros", "a quarter of each letter"]]
    assert none["r"].between(0.765, 0.975).all()
    assert none["sign_flips"].max() < 0.165
    for network, rows in none.groupby(level="network"):
        assert rows["motif_share"].max() < likeness.xs(network, level="network")["motif_share"].nlargest(5).min()
    count = tables["count"]
    shuffles = count["references"] != "other sequences"
    usual = count[shuffles & (count["chosen"] == "20")]
    assert usual["standard_error"].between(0.155, 0.225).all()
    assert usual["needed_5"].between(200, 450).all()
    assert usual["needed_1"].between(5000, 11000).all()
    auto = count[count["chosen"] != "20"].assign(asked=count["chosen"].str.extract(r"(\d+)%")[0].astype(float) / 100)
    assert ((auto["distance"] - auto["asked"]).abs()[shuffles] < 0.01).all()
    ratio = auto["distance"] / auto["standard_error"]
    assert 1.4 < ratio[~shuffles].max() < 1.5
    needed = count.pivot_table(index="network", columns="references", values="needed_5")
    assert (needed["other sequences"] / needed["shuffle"]).between(1.7, 5).all()


def test_what_the_page_of_numerics_says():
    tables = read_tables("numerics")
    dtypes = tables["dtypes"].set_index(["setting", "implementation", "network"]).sort_index()
    single = dtypes.loc["float32", "rms"]
    assert (dtypes.loc["float32", "top_overlap"] > 0.995).all()
    captum = single.loc["captum-deeplift"]
    assert captum["attention"] > 500 * single.loc["tangermeme", "attention"]
    near_ties = [("seqlight", "convolutional"), ("seqlight", "attention")]
    assert single.drop([("captum-deeplift", "attention"), *near_ties]).max() < 5e-5
    ratios = single.loc["seqlight"] / single.loc["tangermeme"]
    assert ratios.drop([network for _, network in near_ties]).between(1 / 3, 3).all()
    assert ratios[["attention", "convolutional"]].round(-1).tolist() == [10, 190]
    assert round(dtypes.loc[("float32", *near_ties[0]), "largest"], 2) == 0.01
    assert (single.loc["input-x-gradient"] < 1.01 * single.groupby(level="network").min()).all()
    half = dtypes.loc["bfloat16"]
    assert half.drop("captum-deeplift")["rms"].max() < 0.15
    assert 0.25 < half.loc["captum-deeplift", "rms"].max() < 0.35
    assert round(1 - half["top_overlap"].min(), 2) in (0.08, 0.09)
    coarse = dtypes.loc["bfloat16"].loc[("seqlight", "convolutional, coarse weights"), "rms"]
    assert coarse < 3 * single.loc["seqlight", "convolutional, coarse weights"]
    under = dtypes.loc["float32, in torch.autocast"]
    assert (under.loc["seqlight", "rms"] == single.loc["seqlight"]).all()
    smooth, pooled = "GELU, LayerNorm", ["attention", "convolutional", "convolutional, coarse weights"]
    failed = under.loc["captum-deeplift", "error"] != ""
    assert failed[pooled].all()
    assert not failed[smooth]
    finite = dtypes.loc["float16", "error"] == ""
    assert not finite["captum-deeplift"][pooled].any()
    assert finite["tangermeme"][pooled].all()
    assert finite["captum-deeplift"][smooth]
    assert not finite["tangermeme"][smooth]
    batches = tables["batches"]
    assert batches[batches["dtype"] == "float64"]["largest"].max() < 1e-14
    single = batches[batches["dtype"] == "float32"].groupby(["implementation", "network"])["largest"]
    assert (single.max() - single.min()).max() < 1e-4
    assert single.max().drop(near_ties).max() < 1e-3
    places = tables["places"].set_index("place")
    assert places.loc["two processes", "same_bits"].all()
    assert not places.loc["one process, two threads", "same_bits"].all()
