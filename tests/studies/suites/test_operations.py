"""Every operation has a case in each way to write it, and none of ours is silently wrong."""

import inspect
import random
import warnings

import cloudpickle
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import seqlight as sl
from seqlight.attribution.rules import table
from seqlight.studies.suites.operations import SUITE, make_cases, make_data, make_model, parse_case
from seqlight.studies.suites.operations.arguments import CALLS, DOMAINS
from seqlight.studies.suites.operations.modules import LEFT_OUT, MODULES, OPERATIONS
from seqlight.studies.suites.operations.spellings import KINDS, NAMESPACES, all_spellings

pytestmark = pytest.mark.filterwarnings("ignore:torch.chain_matmul is deprecated")

SPELLINGS = all_spellings()
# The same in each run; all of them are in the slow test.
SAMPLE = random.Random(0).sample(SPELLINGS, 100)


def by_title(spellings):
    return pytest.mark.parametrize("spelling", spellings, ids=[one.title for one in spellings])


@pytest.mark.reliability("studies", "an operation without a case in the study by operation", "a test fails")
def test_every_entry_of_the_table_has_a_case():
    covered = {one.function for one in SPELLINGS}
    users = [
        f for f in {**table.rules(), **table.compared()} if not getattr(f, "__module__", "").startswith("seqlight")
    ]
    assert len(users) > 500
    assert [f for f in users if f not in covered] == []
    names = {one.operation for one in SPELLINGS}
    ours = {entry.name for entry in table.OURS}
    assert {entry.name for entry in table.rules().values()} - ours <= names


def test_every_module_of_torch_has_a_case():
    covered = {one.name.removeprefix("nn.").split("(")[0] for one in SPELLINGS}
    found = {name for name, one in vars(nn).items() if inspect.isclass(one) and issubclass(one, nn.Module)}
    assert found - covered == LEFT_OUT & found


def test_every_module_has_each_of_its_spellings():
    found = {}
    for one in SPELLINGS:
        found.setdefault(one.name.split("(")[0], set()).add(one.kind)
    assert found["nn.ReLU"] == {"module", "in place", "subclass", "reused", "behind a ReLU"}
    assert all(
        {"module", "subclass", "reused", "behind a ReLU"} <= kinds for n, kinds in found.items() if "nn." in n[:3]
    )
    assert found["F.relu"] == {"function", "in place"}
    assert (found["Tensor.relu_"], found["Tensor.__imul__"]) == ({"in place"}, {"in place"})
    assert (found["Tensor.relu"], found["Tensor.__mod__"]) == ({"method"}, {"operator"})


def test_no_argument_is_for_an_operation_that_does_not_exist():
    known = {name for one in NAMESPACES.values() for name in dir(one)}
    assert {one.rpartition(".")[2] for one in CALLS} - known == set()
    assert DOMAINS.keys() - known == set()
    assert {*MODULES, *OPERATIONS, *LEFT_OUT} <= {*dir(nn), "RNN relu", "RNNCell relu"}


def test_names_are_taken_apart():
    cases = make_cases()
    assert len(cases) == len(SPELLINGS) == len({one.title for one in SPELLINGS})
    for one in SPELLINGS:
        found = parse_case(one.title)
        assert (found.operation, found.kind) == (one.operation, one.kind)
        assert one.name.startswith(found.name.split("(")[0])
        assert found.kind in KINDS
    assert SUITE.cases().keys() == cases.keys()


def test_all_spellings_of_an_operation_have_the_same_outputs():
    X = make_data()[0].float()
    found = [
        make_model(one)(X) for one in SPELLINGS if one.operation == "sigmoid" and one.kind not in ("reused", KINDS[-1])
    ]
    assert len(found) > 6
    for y in found:
        torch.testing.assert_close(y, found[0])


def test_the_random_state_is_left_alone():
    before = torch.get_rng_state()
    make_model(SPELLINGS[0])
    make_cases()
    assert torch.equal(torch.get_rng_state(), before)


@by_title(random.Random(1).sample(SPELLINGS, 25))
def test_the_source_is_that_of_the_model_and_the_model_can_be_pickled(spelling):
    X = make_data()[0].double()
    case = cloudpickle.loads(cloudpickle.dumps(make_cases()[spelling.title]))
    model = cloudpickle.loads(cloudpickle.dumps(case.make_model().double()))
    names = {"torch": torch, "nn": nn, "F": F, "Tensor": torch.Tensor, "math": __import__("math")}
    exec(case.source, names)
    pasted = names["Model"]().double().eval()
    with torch.no_grad():
        pasted(X)
    pasted.load_state_dict(model.state_dict())
    torch.testing.assert_close(pasted(X), model(X))


def contributions(model, X, references):
    multipliers = sl.deep_lift_shap(model, X, references=references, raw_outputs=True, device="cpu")
    return (multipliers * (X.unsqueeze(1) - references)).sum(dim=2)


def check_ours(spelling):
    X, references = (one.double() for one in make_data())
    model = make_model(spelling).double()
    with torch.no_grad():
        outputs = torch.stack([model(x[None])[0, 0] for x in X])
        baselines = torch.stack([model(r[None])[0, 0] for r in references.flatten(0, 1)]).view(len(X), -1)
    differences = outputs.unsqueeze(1) - baselines
    assert differences.abs().mean() > 1e-3, "nothing to explain"
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        found = contributions(model, X, references)
    miss = (found.sum(dim=2) - differences).abs().mean() / differences.abs().mean()
    kinds = {one.category for one in raised}
    if sl.ConvergenceWarning in kinds:
        assert spelling.detail == "indices"  # an order jumps
    else:
        assert miss < (1e-6 if sl.IntegratedWarning in kinds else 1e-9)


@by_title(SAMPLE)
def test_no_operation_of_ours_is_silently_wrong(spelling):
    check_ours(spelling)


@pytest.mark.slow
@by_title([one for one in SPELLINGS if one not in SAMPLE])
def test_no_other_operation_of_ours_is_silently_wrong(spelling):
    check_ours(spelling)
