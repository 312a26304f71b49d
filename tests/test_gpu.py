"""Results on an accelerator are the same as on the CPU: on that of this machine, or else on the pretend one."""

import inspect

import pytest
import torch

import seqlight as sl
from seqlight import metrics

pytestmark = pytest.mark.gpu


@pytest.fixture
def X():
    return sl.random_one_hot((6, 4, 200), random_state=0)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv1d(4, 16, 9),
        torch.nn.ReLU(inplace=True),
        torch.nn.MaxPool1d(3, 2),
        torch.nn.BatchNorm1d(16),
        torch.nn.Conv1d(16, 16, 5),
        torch.nn.GELU(),
        torch.nn.MaxPool1d(4),
        torch.nn.Flatten(),
        torch.nn.Linear(16 * 22, 3),
    ).eval()


@pytest.mark.parametrize("name", ["shuffle", "randomize", "dinucleotide_shuffle"])
def test_shuffles(X, name, accelerator):
    settings = {"start": 0, "end": 200, "n": 3, "random_state": 1}
    there = getattr(sl, name)(X.to(accelerator), **settings)
    assert there.device == accelerator
    assert torch.equal(there.cpu(), getattr(sl, name)(X, **settings))


def test_edits(X, accelerator):
    motif, here, X = sl.one_hot_encode("TGACTCA").to(accelerator), X, X.to(accelerator)
    assert torch.equal(sl.substitute(X, motif).cpu(), sl.substitute(here, "TGACTCA"))
    assert torch.equal(sl.reverse_complement(X).cpu(), sl.reverse_complement(here))
    assert sl.characters(X) == sl.characters(here)
    with pytest.raises(sl.InputError, match=str(accelerator)):
        sl.substitute(here, motif)


def test_predict_gives_the_model_back(X, model, accelerator):
    with torch.no_grad():
        expected = model(X.float())
    pointers = [parameter.data_ptr() for parameter in model.parameters()]
    y = sl.predict(model, X, batch_size=4, device=accelerator)
    assert y.device.type == "cpu"
    torch.testing.assert_close(y, expected, rtol=1e-2, atol=1e-3)  # TF32 convolutions
    torch.testing.assert_close(
        sl.predict(model, X, dtype="float64", device=accelerator), expected.double(), rtol=1e-5, atol=1e-6
    )
    assert [parameter.data_ptr() for parameter in model.parameters()] == pointers
    assert all(parameter.device.type == "cpu" for parameter in model.parameters())


def test_attributions(X, model, accelerator):
    settings = {"target": 1, "random_state": 0, "dtype": "float64"}
    here, there = (sl.deep_lift_shap(model, X, device=device, **settings) for device in ("cpu", accelerator))
    torch.testing.assert_close(there, here, rtol=1e-9, atol=1e-12)
    single = sl.deep_lift_shap(model, X, target=1, random_state=0, device=accelerator)
    scale = here.abs().max()
    assert (single - here).abs().max() < 1e-4 * scale  # TF32 would be off by percents
    assert all(parameter.device.type == "cpu" for parameter in model.parameters())


def test_seqlets(X, model, accelerator):
    track = sl.deep_lift_shap(model, X, random_state=0, device="cpu").sum(dim=1)
    assert sl.recursive_seqlets(track.to(accelerator)).equals(sl.recursive_seqlets(track))


@pytest.mark.parametrize(
    "name",
    [
        "AttributionGini",
        "AttributionConsistency",
        "KmerConsistency",
        "MethodAgreement",
        "AttributionSimilarity",
        "ReferenceStandardError",
    ],
)
def test_metrics(X, name, accelerator):
    found = {"attributions": torch.randn(X.shape) * X, "others": torch.randn(X.shape), "X": X}
    found["standard_error"] = torch.rand(X.shape)
    here, there = (getattr(metrics, name)() for _ in range(2))
    taken = {key: found[key] for key in inspect.signature(here.update).parameters}
    here.update(**taken)
    there.to(accelerator).update(**{key: one.to(accelerator) for key, one in taken.items()})
    assert there.compute().device == accelerator
    assert there.compute().dtype == torch.float64
    assert float(there.compute()) == pytest.approx(float(here.compute()), rel=1e-12)


def test_a_faithfulness_metric_leaves_the_model_where_it_is(X, model, accelerator):
    attributions = torch.randn(X.shape)
    expected = float(metrics.faithfulness_area(model.cpu(), X, attributions, n_shuffles=2))
    found = metrics.faithfulness_area(
        model.to(accelerator), X.to(accelerator), attributions.to(accelerator), n_shuffles=2
    )
    assert found.device == accelerator
    assert all(one.device == accelerator for one in model.parameters())
    assert float(found) == pytest.approx(expected, rel=1e-3)
