"""The pages of the studies hold the stored numbers, and these numbers bear out what the pages say."""

import statistics

import pytest
import study_artefact
import study_attribution_prior
import study_consistency
import study_methods
import study_operations
import torch
from harness import read_results
from pages import DOCS, fill_section


@pytest.mark.parametrize(
    "study", [study_artefact, study_consistency, study_methods], ids=["artefact", "consistency", "methods"]
)
def test_the_page_has_the_stored_numbers(study):
    page = (DOCS / f"{study.__name__.removeprefix('study_')}.md").read_text()
    assert fill_section(page, study.table(read_results(study.__name__))) == page


def test_the_operations_page_has_the_stored_numbers():
    page = (DOCS / "studies" / "operations.md").read_text()
    assert fill_section(page, study_operations.table(read_results("study_operations"))) == page


def test_what_the_operations_page_says():
    results = read_results("study_operations")
    if results["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]:
        assert results["cases"].keys() == study_operations.SUITE.cases().keys()
    cells = study_operations.as_frame(results)
    verdicts = cells.pivot(index="case", columns="implementation", values="verdict")
    of = cells.set_index(["kind", "name", "arguments", "implementation"])["verdict"].sort_index()
    ours = cells[(cells["implementation"] == "seqlight") & (cells["verdict"] != "complete")]
    assert len(ours) == 4
    assert set(ours["verdict"] + " " + ours["arguments"]) == {"wrong and warned indices"}
    assert (verdicts.loc[ours["case"], :] != "complete").all(axis=None)
    assert not (verdicts["tangermeme"] == "wrong in silence").any()
    assert not (verdicts["captum-deeplift"] == "wrong and warned").any()
    passed = cells[(cells["implementation"] == "shap") & (cells["verdict"] == "wrong in silence")]
    assert sorted(passed["miss"].round(2)) == [0.02, 0.08]
    for (
        name
    ) in "ReLU LeakyReLU ELU Sigmoid Tanh Softplus MaxPool1d MaxPool2d Conv1d Linear BatchNorm1d AvgPool1d".split():
        found = of["module", f"nn.{name}", ""].drop("captum-integrated-gradients")
        assert set(found) == {"complete"}
    assert of["behind a ReLU", "nn.MaxPool1d", "", "captum-deeplift"] == "wrong in silence"
    assert of["subclass", "nn.ReLU", "", "captum-deeplift"] == "wrong in silence"
    assert of["reused", "nn.ReLU", "", "captum-deeplift"] == "refused"


def test_what_the_artefact_page_says():
    runs = read_results("study_artefact")["runs"]
    clean, fooled = ([one for one in runs if one["model"] == kind] for kind in ("clean", "fooled"))
    last = [[one["epochs"][-1] for one in kind] for kind in (clean, fooled)]
    # The validation does not reveal it: the kinds differ by less than seeds do, or by next to nothing.
    for name, little in (("loss", 0.02), ("auroc", 0.01)):
        means = [statistics.mean(epoch[name] for epoch in kind) for kind in last]
        assert abs(means[1] - means[0]) < little
    for name in ("consistency", "kmer_consistency"):
        values = [[epoch[name] for epoch in kind] for kind in last]
        assert min(values[0]) < statistics.mean(values[1]) < max(values[0])
    # The attribution reveals it, in every seed, and so does the deployment.
    assert min(epoch["share"] for epoch in last[1]) > 2 * max(epoch["share"] for epoch in last[0])
    rates = [[one["test"]["half scarred"]["false_positive_rate"] for one in kind] for kind in (clean, fooled)]
    assert min(rates[1]) > max(rates[0]) + 0.2


def test_what_the_consistency_page_says():
    results = read_results("study_consistency")
    found = {
        (measure, n, kind): [one["measures"][n][measure] for one in results["networks"] if one["model"] == kind]
        for measure in ("directions", "words")
        for n in ("30", "300")
        for kind in study_consistency.KINDS
    }
    others = [kind for kind in study_consistency.KINDS if kind != "trained"]
    for measure, n, times in (("directions", "300", 3), ("words", "30", 3), ("words", "300", 5)):
        for kind in others:
            assert min(found[measure, n, "trained"]) > times * max(found[measure, n, kind])
    assert max(found["directions", "30", "untrained"]) > 0.9 * min(found["directions", "30", "trained"])
    choices = [one["choices"] for one in results["trainings"]]
    by_loss, by_words, by_directions = (
        [one[name]["auroc"] for one in choices]
        for name in ("least loss", "most consistent words", "most consistent directions")
    )
    assert abs(statistics.mean(by_words) - statistics.mean(by_loss)) < 0.01
    assert min(by_directions) < min(by_loss) - 0.1
    early = [one["most consistent words"] for one in choices if one["most consistent words"]["epoch"] < 5]
    assert early[0]["share"] < max(one["least loss"]["share"] for one in choices) - 0.1
    for one in results["sanity"]:
        assert not one["alike"]
        assert abs(one["table"]["rank_correlation"][-1]) < 0.1
        magnitudes = one["table"]["magnitude_rank_correlation"]
        assert magnitudes[0] > 0.4 > 0.2 > magnitudes[-1]


def test_what_the_methods_page_says():
    results = read_results("study_methods")
    names = list(results["runs"][0]["judged"])
    ours, peer, captum, gradient = (
        names.index(name) for name in ("deep_lift_shap", "tangermeme DeepLIFT", "Captum DeepLift", "input_x_gradient")
    )
    for run in results["runs"]:
        ranks, judged = run["agreement"]["rank_correlation"], run["judged"]
        assert ranks[ours][peer] > 0.999
        assert ranks[captum][gradient] > ranks[captum][ours]
        assert judged["deep_lift_shap"]["miss"] < 1e-5
        assert judged["Captum DeepLift"]["miss"] > 0.2
        chance = judged["at random"]
        for name in names[:-1]:
            assert judged[name]["deletion"] > chance["deletion"] + 0.1
            assert run["agreement"]["top"][ours][names.index(name)] > run["agreement"]["top"][ours][-1] + 0.3


@pytest.mark.slow
def test_attributions_reveal_the_artefact_again():
    clean, _ = study_artefact.train_model(0, fooled=False)
    fooled, _ = study_artefact.train_model(0, fooled=True)
    assert fooled["epochs"][-1]["share"] > 2 * clean["epochs"][-1]["share"]


def test_the_page_of_attribution_priors_has_the_stored_numbers():
    page = (DOCS / "studies" / "attribution_prior.md").read_text()
    assert fill_section(page, study_attribution_prior.table(read_results("study_attribution_prior"))) == page
    assert (DOCS / "studies" / "images" / "attribution_prior.png").exists()


def test_what_the_page_of_attribution_priors_says():
    results = read_results("study_attribution_prior")
    gained = {
        (name, measure): [
            one - other
            for one, other in zip(
                study_attribution_prior.values_of(results, name, measure),
                study_attribution_prior.values_of(results, "none", measure),
                strict=True,
            )
        ]
        for name in ("Fourier", "Gini, later")
        for measure in ("auroc", "share", "mutagenesis_share")
    }
    assert {len(one) for one in gained.values()} == {8}
    for measure in ("share", "mutagenesis_share"):
        assert 0.025 < statistics.mean(gained["Fourier", measure]) < 0.04
        assert 0.05 < statistics.mean(gained["Gini, later", measure]) < 0.07
        assert sum(one > 0 for one in gained["Fourier", measure]) == 7
        assert min(gained["Gini, later", measure]) > 0
    for name in ("Fourier", "Gini, later"):
        mean, error = study_attribution_prior.difference(results, name, "auroc")
        assert mean > -error
    early = study_attribution_prior.values_of(results, "Gini", "auroc")
    assert [round(one, 2) for one in early if one < 0.99] == [0.58]


def test_the_study_of_attribution_priors_runs():
    """Only a few steps: what comes of them is not asked."""
    prior, start = study_attribution_prior.PRIORS["Gini, later"]
    model = study_attribution_prior.train(0, prior, start=1, n=64, epochs=2)
    assert start == 4
    found = study_attribution_prior.judge(model, 0, n=32)
    assert found.keys() == study_attribution_prior.MEASURES.keys()
    assert all(0 <= one <= 1 for one in found.values())
