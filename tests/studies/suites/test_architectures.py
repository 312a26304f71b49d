"""Models as their authors write them: made alike in each process, trained, and explained completely or refused."""

from dataclasses import replace

import pytest
import torch

from seqlight.errors import UnsupportedOperation
from seqlight.studies.agreement import miss
from seqlight.studies.implementations.deep_lift_shap import SEQLIGHT
from seqlight.studies.suites.architectures import ARCHITECTURES, SUITE, danq
from seqlight.studies.suites.architectures.architecture import (
    _train,
    make_trained,
    make_untrained,
    mark_sites,
    planted,
)

CASES = SUITE.cases()
MIXED = danq.SELENE.name
QUICK = "two heads"


def missed(name):
    """The largest miss of our own implementation in float64, as a study computes it."""
    case = CASES[name]
    model, X = case.make_model().double(), case.X.double()
    references = case.draw_references(SUITE.n_references, 0).double()
    found = SEQLIGHT.contributions(model, X, references, (), case.target, 0)
    with torch.no_grad():
        outputs = model(X)[:, case.target]
        of_references = torch.stack([model(one)[:, case.target] for one in references.unbind(1)], dim=1)
    return miss(found, outputs, of_references)[1]


def auroc(one):
    """How well the explained output tells the planted sequences from their shuffles, in sequences not trained on."""
    split = planted("test")
    with torch.no_grad():
        scores = make_trained(one)(split.X.float())[:, 0]
    differences = scores[split.y == 1][:, None] - scores[split.y == 0]
    return float((differences > 0).float().mean())


def test_there_are_twelve_families_and_more():
    names = [one.name for one in ARCHITECTURES]
    assert len(set(names)) == len(names) >= 20
    assert {f"{name}: {state}" for name in names for state in ("untrained", "trained")} < set(CASES)
    assert sum(name.startswith("matrix: ") for name in CASES) == 9
    for name in (f"{QUICK}: untrained", "matrix: gated"):
        exec(CASES[name].source, found := {})
        torch.testing.assert_close(found["model"].state_dict(), CASES[name].make_model().state_dict())


@pytest.mark.parametrize("name", [one for one in CASES if one.startswith("matrix: ")])
def test_the_matrix_is_complete(name):
    assert missed(name) < 1e-9


@pytest.mark.reliability(
    "public models",
    "twenty architectures as their authors write them (DeepSEA, Basenji, BPNet, Enformer, Hyena, Mamba ...)",
    "contributions that sum to the output difference, to 1e-9",
)
@pytest.mark.parametrize("name", [one.name for one in ARCHITECTURES if one.name != MIXED])
def test_an_untrained_model_is_explained_completely(name):
    assert missed(f"{name}: untrained") < 1e-9


@pytest.mark.parametrize(
    "one",
    [
        pytest.param(one, id=one.name, marks=() if one.name == QUICK else pytest.mark.slow)
        for one in ARCHITECTURES
        if one.name != MIXED
    ],
)
def test_a_trained_model_is_good_and_explained_completely(one):
    assert auroc(one) > 0.95
    assert missed(f"{one.name}: trained") < 1e-9


@pytest.mark.reliability(
    "public models",
    "DanQ as selene publishes it, whose LSTM reads along the batch, so that rows depend on one another",
    "refused, with the name of the LSTM",
)
@pytest.mark.filterwarnings("ignore::seqlight.IntegratedWarning")
def test_the_public_danq_is_refused():
    case = CASES[f"{MIXED}: untrained"]
    model, X = case.make_model().double(), case.X.double()
    with torch.no_grad():
        alone, among_others = model(X[:1]), model(X)[:1]
    assert (alone - among_others).abs() > 1e-6
    with pytest.raises(UnsupportedOperation, match=r"other rows of its batch.*`lstm` in module 'bdlstm.0'"):
        SEQLIGHT.contributions(model, X, case.draw_references(2, 0).double(), (), 0, 0)


def test_models_are_the_same_each_time_and_what_is_global_stays():
    one = replace(next(one for one in ARCHITECTURES if one.name == QUICK), epochs=1)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    for make in (make_untrained, make_trained):
        first = make(one)
        _train.cache_clear()
        second = make(one)
        assert first is not second
        torch.testing.assert_close(first.state_dict(), second.state_dict(), rtol=0, atol=0)
        assert not second.training
        assert all(weight.grad is None for weight in second.parameters())
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


SCRIPT = """
import hashlib
from seqlight.studies.suites.architectures import ARCHITECTURES
from seqlight.studies.suites.architectures.architecture import make_trained

for one in ARCHITECTURES:
    if one.name in ("DanQ", "ResNet", "both strands"):
        weights = make_trained(one).state_dict().values()
        print(hashlib.sha256(b"".join(weight.numpy().tobytes() for weight in weights)).hexdigest())
"""


@pytest.mark.slow
def test_another_process_trains_the_same_models(python):
    first, second = (python("-c", SCRIPT, timeout=200).stdout for _ in range(2))
    assert first == second
    assert len(first.split()) == 3


def test_sites_are_marked_by_motif():
    split = planted("test")
    sites = mark_sites(split)
    assert sites[split.y == 0].sum() == 0
    assert ((sites == 1).sum(1)[split.y == 1] == 7).all()
    assert ((sites == 2).sum(1)[split.y == 1] == 12).all()
