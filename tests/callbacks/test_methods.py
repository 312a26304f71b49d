from __future__ import annotations

import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight_callbacks.explained_model import HeadSelector, InputAdapter
from seqlight_callbacks.methods import METHODS, WITH_REFERENCES, concatenate_results, make_ledger, run_method

pytestmark = pytest.mark.accelerator

X = sl.random_one_hot((5, 4, 20), random_state=0)
REFERENCES = sl.dinucleotide_shuffle(X, n=3, random_state=1)
CPU = torch.device("cpu")


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(4, 6, 5), nn.GELU(), nn.Flatten(), nn.Linear(96, 3))


@pytest.mark.parametrize("method", METHODS)
def test_a_method_gives_what_its_function_gives(model, method):
    found = run_method(method, model, X, REFERENCES, 1, 4, CPU)
    with torch.no_grad():
        torch.testing.assert_close(found.outputs.float(), model(X.float())[:, 1], atol=1e-6, rtol=1e-5)
    expected = {
        "deep_lift_shap": lambda: sl.deep_lift_shap(model, X, target=1, references=REFERENCES, device="cpu"),
        "integrated_gradients": lambda: (
            sl.integrated_gradients(model, X, target=1, references=REFERENCES, device="cpu").attributions
        ),
        "input_x_gradient": lambda: sl.input_x_gradient(model, X, target=1, device="cpu").attributions,
        "ism": lambda: sl.saturation_mutagenesis(model, X, target=1, device="cpu"),
    }[method]()
    torch.testing.assert_close(found.attributions, expected, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(found.hypothetical * X, found.attributions, atol=0, rtol=0)
    assert not bool((found.hypothetical[X == 0] == 0).all())
    assert (found.reference_outputs is not None) == (found.standard_error is not None) == (method in WITH_REFERENCES)


@pytest.mark.parametrize("method", METHODS)
def test_rows_can_be_explained_in_parts(model, method):
    whole = run_method(method, model, X, REFERENCES, 2, 4, CPU)
    parts = [run_method(method, model, X[rows], REFERENCES[rows], 2, 4, CPU) for rows in ([0, 2, 4], [1, 3])]
    again = concatenate_results(parts, torch.tensor([0, 2, 4, 1, 3]).argsort())
    for one, other in zip(whole, again, strict=True):
        if one is None:
            assert other is None
        else:
            torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_ledgers_of_parts_are_that_of_the_whole(model):
    whole = run_method("deep_lift_shap", model, X, REFERENCES, 2, 4, CPU, layers=True)
    parts = [run_method("deep_lift_shap", model, X[rows], REFERENCES[rows], 2, 4, CPU, True) for rows in ([0, 2], [1])]
    again = concatenate_results(parts, torch.tensor([0, 2, 1]).argsort())
    torch.testing.assert_close(again.layer_totals, whole.layer_totals[:3], atol=1e-6, rtol=1e-5)
    assert make_ledger(again)["layer"].tolist() == make_ledger(whole)["layer"].tolist()
    assert make_ledger(run_method("deep_lift_shap", model, X, REFERENCES, 2, 4, CPU)) is None


def test_standard_error_is_that_of_the_mean_over_references(model):
    found = run_method("deep_lift_shap", model, X, REFERENCES, 0, 4, CPU)
    each = torch.stack(
        [sl.deep_lift_shap(model, X, references=REFERENCES[:, k : k + 1], device="cpu").sum(dim=1) for k in range(3)]
    )
    torch.testing.assert_close(found.standard_error, each.std(dim=0) / 3**0.5, atol=1e-6, rtol=1e-3)


def test_a_single_reference_has_no_error(model):
    assert run_method("deep_lift_shap", model, X, REFERENCES[:, :1], 0, 4, CPU).standard_error is None


@pytest.mark.reliability(
    "rows of a batch",
    "a callback on a model whose rows depend on each other",
    "an error before the first step that names the operation",
)
@pytest.mark.parametrize("method", METHODS)
def test_rows_that_depend_on_each_other_are_found_before_the_first_step(method, toy):
    net = toy.network()
    net.insert(7, nn.Softmax(dim=0))
    callback = toy.attribution(method=method)
    with pytest.raises(sl.UnsupportedOperation, match=r"first at `softmax` in module '.*7' "):
        toy.fit([callback], net=net)


def test_a_ledger_has_the_rows_of_the_model_that_was_given(model):
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = model

        def forward(self, x):
            return self.body(x), x

    wanted = ("body.0", "body.1", "body.2", "body.3", "body")
    for adapted in (HeadSelector(Pair(), 0), HeadSelector(InputAdapter(Pair(), nn.Identity()), 0)):
        found = run_method("deep_lift_shap", adapted, X, REFERENCES, 2, 4, CPU, layers=True)
        assert found.layer_names == wanted
