"""The pages about planted motifs hold the stored numbers, and these numbers bear out what the pages say."""

import pandas as pd
import pytest
import study_planted
from harness import read_results
from pages import DOCS, fill_section


@pytest.mark.parametrize("study", [study_planted], ids=lambda study: study.__name__)
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
