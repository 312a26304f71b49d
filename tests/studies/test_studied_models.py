"""The models of a study: audited, only borrowed, of classes of their own, or failing."""

from typing import NamedTuple

import pytest
import torch

import seqlight as sl
from seqlight.errors import InputError
from seqlight.studies import Case, Study
from seqlight.studies.results import StudyResults
from study_implementations import EXACT, HALF, Net

X = sl.random_one_hot((3, 4, 20), random_state=0)


class Local(torch.nn.Module):
    """A model of two inputs; another process cannot import this file."""

    def __init__(self):
        super().__init__()
        self.net = Net()

    def forward(self, x, scale):
        return self.net(x)[:, 1] * scale


class StudyOfSeveral(NamedTuple):
    """A study of several models, one of them in the middle of its training, and what was there before."""

    results: StudyResults
    net: Net
    weights: dict[str, torch.Tensor]
    random_states: tuple[torch.Tensor, torch.Tensor]


@pytest.fixture(scope="module")
def study_of_several(tmp_path_factory):
    """One study for several tests: starting processes takes seconds."""
    net = Net().train()
    net.dense.eval()
    weights = {name: one.clone() for name, one in net.state_dict().items()}
    motifs = torch.zeros(2, 20, dtype=torch.bool)
    motifs[:, 5:8] = True
    models = {
        "net": net,
        "a/b <c>": Case(Local, X[:2], args=(torch.tensor([1.0, 2.0]),), motifs=motifs),
        "five letters": torch.nn.Conv1d(5, 1, 3),
    }
    before = torch.get_rng_state()
    asked = Study(models, X, implementations=[EXACT, HALF], dtypes=["float64"], n_references=2, threads=1)
    results = asked.run(tmp_path_factory.mktemp("several") / "out", verbose=False)
    return StudyOfSeveral(results, net, weights, (before, torch.get_rng_state()))


@pytest.fixture(scope="module")
def several(study_of_several):
    return study_of_several.results


def test_an_audit_and_suspects_explain_a_miss(several):
    audit = several.audit("net")
    assert audit.complete
    assert "relu" in set(audit.table["operation"])
    assert [one.operation for one in several.suspects("net", "half")] == ["relu"]
    assert several.suspects("net", "exact") == []


def test_the_model_is_only_borrowed(study_of_several):
    _, net, weights, random_states = study_of_several
    assert net.training
    assert not net.dense.training
    assert torch.equal(*random_states)
    assert all(torch.equal(one, weights[name]) for name, one in net.state_dict().items())
    assert all(one.grad is None for one in net.parameters())


def test_a_class_of_a_script_and_a_case_of_its_own(several):
    row = several.cells.set_index(["model", "implementation"]).loc[("a/b <c>", "exact")]
    assert row["status"] == "ok"
    assert row["miss"] < 1e-12
    assert 0 < row["motif_share"] < 1


def test_a_model_that_cannot_be_called_is_a_row(several):
    found = several.cells.set_index("model").loc["five letters"]
    assert found["status"].tolist() == ["error", "error"]
    assert found["error"].str.contains("5 channels").all()
    assert "5 channels" in several.failure("five letters")
    with pytest.raises(InputError, match="5 channels"):
        several.outputs("five letters")
