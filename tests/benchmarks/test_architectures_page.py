"""The page of the study by architecture holds the stored numbers, and these bear out what it says."""

import pytest
import study_architectures
from harness import read_results
from pages import DOCS, fill_section

from seqlight.studies.suites.architectures import ARCHITECTURES, SUITE


@pytest.fixture(scope="module")
def results():
    return read_results("study_architectures")


@pytest.fixture(scope="module")
def cells(results):
    return study_architectures.as_frame(results)


def test_the_page_has_the_stored_numbers(results):
    page = (DOCS / "studies" / "architectures.md").read_text()
    assert fill_section(page, study_architectures.table(results)) == page


def test_the_stored_cells_are_those_of_the_suite(cells):
    assert set(cells["model"]) == set(SUITE.cases())
    assert list(dict.fromkeys(cells["implementation"])) == list(SUITE.implementations)


def test_a_miss_that_is_no_rounding_is_marked(cells):
    at = cells.set_index(["model", "implementation"])
    spelled = {key: study_architectures.spell(cell) for key, cell in at.iterrows()}
    for name in ("tangermeme", "captum-deeplift", "shap"):
        assert spelled["ChromBPNet: untrained", name] == "*0.0017, r 1.00*"
    assert spelled["two heads: trained", "tangermeme"] == "*0.0036, r 1.00*, warned"
    assert spelled["LegNet: untrained", "tangermeme"] == "*3.5e-05, r 1.00*"
    # Whatever is computed on a model that mixes its rows is wrong.
    assert spelled["DanQ of selene: trained", "captum-integrated-gradients"] == "**0.038**"
    # What is not marked in any way is complete, refused or an error.
    unmarked = {text for text in spelled.values() if not text.startswith("*") and not text.endswith("warned")}
    assert unmarked == {"complete", "refused", "error"}


def architectures(cells, implementation, outcome):
    """The families of which an implementation makes this of a model, at least once."""
    found = cells[(cells["implementation"] == implementation) & (cells["state"] != "matrix")]
    return set(found["architecture"][found["outcome"] == outcome])


@pytest.mark.reliability(
    "public models",
    "twenty-two architectures, untrained and trained, by every implementation that is installed",
    "none of ours is wrong in silence: all are complete, or refused",
)
def test_ours_is_complete_or_refused(cells):
    ours = cells[cells["implementation"] == "seqlight"]
    assert set(ours["outcome"]) == {"complete", "refused"}
    assert architectures(cells, "seqlight", "refused") == {"DanQ of selene"}
    assert ours["miss"].max() < 1e-9
    assert ours["miss_float32"][ours["model"] != "LegNet: untrained"].max() < 2e-4


def test_what_the_page_says_of_others(cells):
    assert not architectures(cells, "tangermeme", "wrong in silence")
    assert architectures(cells, "tangermeme", "complete") == {"BPNet, counts", "Beluga", "scBasset"}
    assert not architectures(cells, "captum-deeplift", "wrong and warned")
    assert architectures(cells, "captum-deeplift", "complete") == {"BPNet, counts"}
    assert architectures(cells, "shap", "wrong in silence") == {"Basenji"}


def test_what_the_page_says_of_likeness(cells):
    at = cells.set_index(["model", "implementation"])
    for name in ("tangermeme", "captum-deeplift"):
        assert at["r"]["Enformer: trained", name] < -0.4
        assert at["sign_flips"]["Enformer: trained", name] > 0.65
        assert at["r"]["ChromBPNet: trained", name] > 0.995
        assert at["miss"]["ChromBPNet: trained", name] > 0.2
    assert at["r"]["Enformer: trained", "captum-integrated-gradients"] > 0.9
    recall = at["motif_recall"]
    assert recall["transformer: trained", "seqlight"] < recall["transformer: trained", "tangermeme"]
    trained = cells[(cells["state"] == "trained") & (cells["architecture"] != "DanQ of selene")]
    means = trained.groupby("implementation")["motif_recall"].mean()
    assert means["mutagenesis"] == means.max()


def test_trained_models_tell_the_classes_apart(results):
    assert set(results["trained"]) == {one.name for one in ARCHITECTURES}
    assert min(results["trained"].values()) > 0.95
    assert set(results["mixed rows"]) == {"DanQ of selene: untrained", "DanQ of selene: trained"}
