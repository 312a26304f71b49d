from types import SimpleNamespace

import pytest
import torch

import seqlight as sl
from seqlight.studies import Case, Study
from seqlight.studies.notebook_tables import MOST_ROWS, results_html


@pytest.fixture(scope="module")
def study():
    layers = [torch.nn.Conv1d(4, 1, 5), torch.nn.ReLU(), torch.nn.Flatten()]
    X = sl.random_one_hot((2, 4, 20), random_state=0)
    return Study({"<mine>": torch.nn.Sequential(*layers)}, X, implementations=["seqlight"])


def test_a_study_says_what_it_will_ask(study):
    assert repr(study) == "Study of 1 model by 1 implementation in float64, float32: run(out) computes it"
    shown = study._repr_html_()
    assert "<td>&lt;mine&gt;</td><td>2</td><td>4 x 20</td>" in shown
    assert "implementations: seqlight" in shown


def test_no_model_is_made_to_show_a_study():
    def make():
        raise AssertionError("a model was made")

    cases = {f"model {i}": Case(make, sl.random_one_hot((2, 4, 20))) for i in range(MOST_ROWS + 5)}
    shown = Study(cases, implementations=["seqlight"])._repr_html_()
    assert "and 5 more" in shown
    assert shown.count("<tr>") == 1 + MOST_ROWS


def test_cells_that_are_not_there_yet_are_shown():
    records = {("net", "seqlight", "float64"): {"status": "ok", "seconds": 0.25}, ("net", "shap", "float64"): None}
    shown = results_html(SimpleNamespace(folder="study"), records)
    assert "StudyResults in study: 1 of 2 cells" in shown
    assert "<td>ok</td><td>0.25</td>" in shown
    assert "<td>not computed</td><td>&ndash;</td>" in shown
