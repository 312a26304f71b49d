"""Model, sequences, references, further inputs and targets may each lie anywhere: the results are those of the CPU."""

import inspect
import itertools

import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight import metrics
from seqlight.targets import Counts, Profile

pytestmark = pytest.mark.usefixtures("pretend")

X = sl.random_one_hot((3, 4, 30), random_state=0)
REFERENCES = sl.dinucleotide_shuffle(X, n=2, random_state=1)
CONTROL = torch.linspace(0.5, 1, 3).unsqueeze(1)
TARGET = torch.tensor([0, 1, 1])
# The last two: the second device while the first is the current one, and the other way round.
PLACES = ["cpu", "pretend:0", "pretend:1"]


class Model(nn.Module):
    """A convolution that pools, with a further input and a buffer."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv1d(4, 6, 5), nn.ReLU(), nn.MaxPool1d(4), nn.Flatten(), nn.Linear(36, 2))
        self.register_buffer("scale", torch.ones(1))

    def forward(self, X, control=None):
        y = self.layers(X) * self.scale
        return y if control is None else (y * control).tanh()


def explained(found):
    return [found.attributions, found.outputs, found.deltas, found.standard_error, found.references]


def deep_lift_shap(model, at, device):
    return [
        sl.deep_lift_shap(
            model, at(X), (at(CONTROL),), references=at(REFERENCES), target=at(TARGET), device=device, batch_size=4
        ),
        sl.deep_lift_shap(model, at(X), random_state=0, n_shuffles=3, hypothetical=True, device=device),
        *sl.deep_lift_shap(
            model, at(X), references=at(REFERENCES), return_references=True, raw_outputs=True, device=device
        ),
    ]  # fmt: skip


def attribute(model, at, device):
    return [
        *explained(sl.attribute(model, at(X), (at(CONTROL),), at(TARGET), references=at(REFERENCES), device=device)),
        *explained(sl.attribute(model, at(X), target=[0, sl.Contrast(0, at(TARGET))], random_state=0, device=device)),
        sl.attribute(
            model, at(X), n_shuffles="auto", max_shuffles=20, tolerance=0.5, random_state=0, device=device
        ).attributions,
    ]  # fmt: skip


def saturation_mutagenesis(model, at, device):
    return [
        sl.saturation_mutagenesis(model, at(X), (at(CONTROL),), target=at(TARGET), end=8, device=device),
        *sl.saturation_mutagenesis(model, at(X), start=3, end=6, raw_outputs=True, device=device),
    ]


def input_x_gradient(model, at, device):
    found = sl.input_x_gradient(model, at(X), (at(CONTROL),), at(TARGET), device=device)
    return [found.attributions, found.outputs]


def integrated_gradients(model, at, device):
    more = {"references": at(REFERENCES), "n_steps": 4, "device": device}
    return explained(sl.integrated_gradients(model, at(X), (at(CONTROL),), at(TARGET), **more))[:3]


def predict(model, at, device):
    return [
        sl.predict(model, at(X), (at(CONTROL),), device=device),
        sl.predict(model, at(X), batch_size=2, dtype="float64", device=device),
    ]


def audit(model, at, device):
    found = sl.audit(model, at(X), (at(CONTROL),), 1, references=at(REFERENCES), dtype="float32", device=device)
    return [torch.tensor([found.complete, len(found.table), found.table["calls"].sum()])]


def ensemble(model, at, device):
    """Of the model on both strands, shifted, with weights that are held constant, and auto."""
    both = sl.Ensemble(model, "both", (1,))
    target = [0, Profile(weights="constant"), Counts()]
    found = sl.attribute(both, at(X), (at(CONTROL),), target, references=at(REFERENCES), device=device)
    auto = {"n_shuffles": "auto", "max_shuffles": 20, "tolerance": 0.5, "random_state": 0}
    more = sl.attribute(both, at(X), target=at(TARGET), device=device, batch_size=7, **auto)
    return [*explained(found), more.attributions, found.spread, more.spread_over_strands]


CALLS = [
    audit,
    deep_lift_shap,
    attribute,
    ensemble,
    saturation_mutagenesis,
    input_x_gradient,
    integrated_gradients,
    predict,
]


@pytest.mark.reliability(
    "accelerators",
    "model, sequences, references, further inputs and targets on the CPU and on two GPUs, in any mixture, with copies "
    "that arrive late",
    "the results of the CPU, on the CPU; the model stays where it was",
)
@pytest.mark.parametrize("home", PLACES)
@pytest.mark.parametrize("call", CALLS, ids=lambda one: one.__name__)
def test_anything_may_lie_anywhere(pretend, call, home):
    expected = call(Model(), lambda one: one, "cpu")
    model = Model().to(home)
    ways = itertools.cycle(itertools.product(PLACES, repeat=3))
    for device in (None, "cpu", "pretend:0", "pretend:1"):
        # Each tensor of a call at the next place, so that all pairs come up.
        places = (place for places in ways for place in places)
        with pretend.switched(late_copies=True, available=device is None):
            found = call(model, lambda one, places=places: one.to(next(places)), device)
        assert all(one.device.type == "cpu" for one in found)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
        assert {one.device for one in [*model.parameters(), *model.buffers()]} == {torch.device(home)}


@pytest.mark.reliability(
    "accelerators",
    "the classes for Captum, with baselines and arguments elsewhere",
    "the results, where the inputs are",
)
@pytest.mark.parametrize("place", ["pretend:0", "pretend:1"])
@pytest.mark.parametrize("other", PLACES)
def test_captum_classes(pretend, place, other):
    def run(model, x, r, control, target):
        return [
            *sl.DeepLiftShap(model).attribute(x, r, target, control, return_convergence_delta=True),
            *sl.DeepLift(model).attribute(x, r[:1], target, control, return_convergence_delta=True),
        ]

    tensors = X.float(), REFERENCES[0].float(), CONTROL, TARGET
    expected = run(Model(), *tensors)
    with pretend.switched(late_copies=True):
        found = run(Model().to(other), tensors[0].to(place), *(one.to(other) for one in tensors[1:]))
        assert all(one.device == torch.device(place) for one in found)
        torch.testing.assert_close([one.cpu() for one in found], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.reliability(
    "accelerators", "a device without float64, as MPS is", "results in float32, or computed on the CPU where it says so"
)
def test_a_device_without_float64(pretend):
    expected = {call: call(Model(), lambda one: one, "cpu") for call in CALLS if call is not predict}
    with pretend.switched(no_float64=True, late_copies=True):
        for call, numbers in expected.items():
            for place in ("cpu", "pretend"):
                found = call(Model().to(place), lambda one, place=place: one.to(place), "pretend")
                torch.testing.assert_close(found, numbers, rtol=1e-4, atol=1e-6)


class Integrated(nn.Module):
    """Operations without a rule of their own, with and without kinks, and normalisations."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Conv1d(4, 5, 5), nn.Linear(5, 1)
        self.norm = nn.LayerNorm(5)

    def forward(self, x):
        h = self.norm(self.first(x).mT).mT
        h = (
            torch.special.i0e(h)
            + torch.logsumexp(h, 1, keepdim=True)
            + h.softmax(1)
            + torch.special.xlog1py(h, h.exp())
        )
        h = h + h.cumprod(2) / 10 + h.sort(2).values + torch.quantile(h, 0.3, dim=2, keepdim=True)
        return self.last(h.abs().amax(2) / (1 + h.std(2)))


@pytest.mark.filterwarnings("ignore::seqlight.errors.IntegratedWarning")
@pytest.mark.reliability("accelerators", "integrated operations without float64", "the attributions of the CPU")
def test_integrated_operations_without_float64(pretend):
    expected = sl.deep_lift_shap(Integrated(), X, random_state=0, n_shuffles=2, device="cpu")
    for lacking in (False, True):
        with pretend.switched(no_float64=lacking):
            found = sl.deep_lift_shap(Integrated(), X, random_state=0, n_shuffles=2, device="pretend")
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.reliability("accelerators", "an audit on a device without float64", "in float64 on the CPU, or in float32")
def test_an_audit_without_float64(pretend):
    expected = sl.audit(Model(), X, device="cpu")
    for settings in ({"available": True}, {"available": True, "no_float64": True}):
        with pretend.switched(**settings):
            for place in PLACES:
                found = sl.audit(Model().to(place), X.to(place))
                assert found.complete == expected.complete
                assert "float32" not in str(found)
                assert found.table["operation"].tolist() == expected.table["operation"].tolist()
    with pretend.switched(no_float64=True):
        found = sl.audit(Model(), X, device="pretend")
        assert found.complete
        assert "float32" in str(found)


@pytest.mark.reliability(
    "accelerators", "a user's own program that sets the second GPU as the current one", "it is used and stays current"
)
def test_the_current_device_stays(pretend):
    with pretend.switched(available=True), torch.accelerator.device_index(1):
        sl.deep_lift_shap(Model(), X, random_state=0)
        sl.predict(Model().to("pretend:0"), X)
        assert torch.pretend.current_device() == 1


@pytest.mark.reliability(
    "accelerators",
    "a model, or a function as target, that returns its numbers on the CPU or on a second GPU",
    "the results of the CPU",
)
@pytest.mark.parametrize("end", ["cpu", "pretend:1"])
@pytest.mark.parametrize("call", CALLS[1:], ids=lambda one: one.__name__)
def test_an_output_elsewhere(pretend, call, end):
    class Moved(Model):
        def forward(self, X, control=None):
            y = super().forward(X, control)
            return y if y.is_cpu else y.to(end)

    expected = call(Model(), lambda one: one, "cpu")
    with pretend.switched(late_copies=True, available=True):
        found = call(Moved(), lambda one: one, "pretend:0")
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
        there = sl.attribute(Model(), X, target=lambda y: y[:, 0].to(end), random_state=0, device="pretend:0")
    torch.testing.assert_close(
        there.attributions, sl.attribute(Model(), X, random_state=0, device="cpu").attributions, rtol=1e-4, atol=1e-6
    )


METRICS = ["AttributionGini", "AttributionConsistency", "KmerConsistency", "MethodAgreement", "FaithfulnessArea",
           "AttributionEntropy", "AttributionSimilarity", "ReferenceStandardError", "MotifWindowShare"]  # fmt: skip


@pytest.mark.reliability("accelerators", "metrics of attributions on a device without float64", "sums in float32 there")
@pytest.mark.parametrize("name", METRICS)
def test_metrics_without_float64(pretend, name):
    given = {"attributions": torch.randn(X.shape, generator=torch.Generator().manual_seed(0)) * X, "X": X}
    given |= {"others": given["attributions"].flip(0), "standard_error": given["attributions"].abs(), "model": Model()}
    made = {"MotifWindowShare": {"start": 3, "end": 9}, "FaithfulnessArea": {"n_shuffles": 2}}

    def compute(place):
        metric = getattr(metrics, name)(**made.get(name, {})).to(place)
        taken = {key: given[key].to(place) for key in inspect.signature(metric.update).parameters}
        metric.update(**taken)
        found = metric.compute()
        assert found.device.type == torch.device(place).type
        return found.cpu().double()

    expected = compute("cpu")
    with pretend.switched(no_float64=True):
        torch.testing.assert_close(compute("pretend:1"), expected, rtol=1e-4, atol=1e-6)
