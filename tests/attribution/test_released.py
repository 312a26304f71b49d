"""When a call is over nothing keeps the model or its memory, not even until Python collects reference cycles."""

import contextlib
import gc
import weakref

import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight.errors import UnsupportedOperation

X = sl.random_one_hot((5, 4, 24), random_state=0)
REFERENCES = sl.dinucleotide_shuffle(X, n=4, random_state=0).float()
SETTINGS = {"n_shuffles": 4, "batch_size": 6, "device": "cpu", "random_state": 0}

CALLS = {
    "predict": lambda model: sl.predict(model, X, batch_size=2, device="cpu"),
    "deep_lift_shap": lambda model: sl.deep_lift_shap(model, X, **SETTINGS),
    "attribute": lambda model: sl.attribute(model, X, **SETTINGS),
    "attribute, as many as needed": lambda model: sl.attribute(
        model, X, **{**SETTINGS, "n_shuffles": "auto"}, tolerance=0.5
    ),
    "saturation_mutagenesis": lambda model: sl.saturation_mutagenesis(model, X, device="cpu"),
    "input_x_gradient": lambda model: sl.input_x_gradient(model, X, device="cpu"),
    "integrated_gradients": lambda model: sl.integrated_gradients(model, X, device="cpu"),
    "audit": lambda model: sl.audit(model, X, device="cpu"),
    "DeepLift": lambda model: sl.DeepLift(model).attribute(X.float(), REFERENCES[:, 0], target=0),
    "DeepLiftShap": lambda model: sl.DeepLiftShap(model).attribute(X.float(), REFERENCES[0], target=0),
}


class Model(nn.Module):
    """Has something for most kinds of rules, and may fail behind them."""

    def __init__(self, fails=None):
        super().__init__()
        torch.manual_seed(0)
        self.convolution, self.norm, self.head = nn.Conv1d(4, 8, 5), nn.LayerNorm(20), nn.Linear(80, 2)
        self.fails = fails

    def forward(self, x):
        h = nn.functional.gelu(self.norm(self.convolution(x)))
        h = nn.functional.scaled_dot_product_attention(h, h, h)
        h = nn.functional.max_pool1d(h.relu() * h.sigmoid(), 2).flatten(1)
        if self.fails:
            raise self.fails("behind some of them")
        return self.head(h)


@pytest.fixture(scope="module", autouse=True)
def _libraries_aside():
    """Have the collector look at what these tests make alone: all that is imported takes it a third of a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def _no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def is_let_go(call, fails=None):
    model = Model(fails)
    alive = weakref.ref(model)
    with contextlib.suppress(ArithmeticError, UnsupportedOperation):
        call(model)
    del model
    return alive() is None


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_the_model_is_let_go(call):
    call(Model())  # what a first call loads may refer to itself
    gc.collect()
    assert is_let_go(call)


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("fails", [ArithmeticError, UnsupportedOperation])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_also_after_an_error(call, fails):
    assert is_let_go(call, fails)


@pytest.mark.usefixtures("_no_collector")
def test_a_call_leaves_the_collector_nothing():
    CALLS["deep_lift_shap"](Model())
    gc.collect()
    CALLS["deep_lift_shap"](Model())
    assert gc.collect() == 0
