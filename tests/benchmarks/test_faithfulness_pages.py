"""The pages about planted motifs hold the stored numbers, and these numbers bear out what the pages say."""

import pandas as pd
import pytest
import study_planted
import study_replication
from harness import read_results
from pages import DOCS, fill_section


@pytest.mark.parametrize("study", [study_planted, study_replication], ids=lambda study: study.__name__)
def test_the_page_has_the_stored_numbers(study):
    name = study.__name__.removeprefix("study_")
    page = (DOCS / "studies" / f"{name}.md").read_text()
    assert fill_section(page, study.table(read_results(study.__name__))) == page
    assert (DOCS / "studies" / "images" / f"{name}.png").exists()


def test_what_the_page_of_planted_grammars_says():
    results = read_results("study_planted")
    rows, networks = pd.DataFrame(results["rows"]), pd.DataFrame(results["networks"])
    # A network that has not learnt its grammar would say nothing about implementations.
    assert networks["accuracy"].min() > 0.98
    recall, miss, insertion = (
        rows.pivot(index=["group", "seed"], columns="implementation", values=what)
        for what in ("recall", "miss", "insertion")
    )
    assert recall.drop(columns="shap").notna().all().all()
    attention = recall.index.get_level_values("group").str.contains("attention")
    for peer in ("tangermeme", "shap"):
        assert (recall["seqlight"] - recall[peer])[~attention].abs().max() < 1e-6
        assert miss[peer][~attention].max() < 1e-6
    assert miss["seqlight"].max() < 1e-6
    assert (recall["captum-deeplift"] < recall["seqlight"])[~attention].all()
    assert miss["captum-deeplift"].min() > 0.2
    assert set(rows.loc[rows["implementation"] == "captum-deeplift", "verdict"]) == {"silent"}
    assert set(rows.loc[rows["verdict"] == "warned", "implementation"]) == {"tangermeme"}
    assert set(rows.loc[rows["verdict"] == "raised", "group"]) == {"order, attention"}
    # Where we are not the best.
    assert (recall["mutagenesis"] >= recall["seqlight"]).all()
    means = recall[attention].mean()
    assert min(means["mutagenesis"], means["input-x-gradient"]) > means["seqlight"] + 0.05
    assert recall["captum-smoothgrad"].mean() < 0.3 < 0.8 < recall["captum-smoothgrad-0.15"].mean()
    assert recall["chance"].max() < 0.16
    assert insertion["mutagenesis"].mean() > insertion["seqlight"].mean() > insertion["captum-deeplift"].mean()


def test_what_the_page_of_the_replication_says():
    results = read_results("study_replication")
    power, summed, false, null = (
        study_replication.as_frame(results, kind).pivot(index=["network", "seed"], columns="method", values=what)
        for kind, what in (
            ("magnitude", "power"),
            ("sum", "power"),
            ("magnitude", "false"),
            ("magnitude", "null words"),
        )
    )
    smooth, ours, captum = study_replication.SMOOTH, study_replication.OURS, study_replication.CAPTUM
    assert len(power) == 10
    gap = power[smooth] - power[ours]
    assert abs(gap.mean()) < 0.015 < 0.03 < power[ours].std()
    assert abs((power[smooth] - power["saliency"]).mean()) < 0.01
    assert abs((power[smooth] - power["knockout"]).mean()) < 0.015
    # Captum's contributions are ours without max pooling, and find a little more with it.
    difference = summed[captum] - summed[ours]
    assert difference["residual"].abs().max() < 1e-9
    assert difference["max pooling"].min() > 0
    assert (summed[f"{ours}, zeros"] > power[smooth]).all()
    assert power["saliency + SmoothGrad 1.0"].max() < 0.2 < 0.25 < power[smooth].min()
    assert 0.15 < false[ours].mean() < 0.17
    assert null[ours].mean() < 0.025
    genotypes = pd.DataFrame(results["genotypes"])
    means = genotypes.pivot_table(index="method", columns="equal", values=["power", "rare", "common"])
    for equal in ("variance", "effect"):
        here = means.xs(equal, axis=1, level=1)
        for name in ("DeepLIFT, zeros", "DeepLIFT of Captum, zeros", "integrated gradients, zeros"):
            assert here["power"]["saliency"] > here["power"][name] + 0.3
            assert here["common"][name] > 0.9
        assert here["power"]["multipliers, zeros"] > 0.85
    by_reference = means["power"].loc["DeepLIFT, mean genotype"]
    assert by_reference["variance"] > means["power"]["variance"]["saliency"]
    assert by_reference["effect"] < means["power"]["effect"]["saliency"] - 0.2
