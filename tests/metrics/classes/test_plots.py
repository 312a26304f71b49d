"""Every metric of the catalogue draws its results, within its bounds."""

from __future__ import annotations

import matplotlib
import pytest
import torch
from catalogue import CATALOGUE, NAMES, arguments, data, make_metric
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from torchmetrics import MetricCollection

from seqlight import metrics

WHOLE = data()
BOUNDS = {  # lowest, highest, whether higher is better
    "AttributionEntropy": (0, None, None),
    "EffectivePositions": (1, None, None),
    "AttributionGini": (0, 1, None),
    "AttributionSimilarity": (-1, 1, True),
    "MethodAgreement": (-1, 1, True),
    "AttributionConsistency": (None, None, True),
    "KmerConsistency": (0, None, True),
    "MotifWindowShare": (0, 1, True),
    "MotifIntervalShare": (0, 1, True),
    "SeqletRecall": (0, 1, True),
    "SeqletPrecision": (0, 1, True),
    "SeqletIoU": (0, 1, True),
    "ConvergenceDelta": (0, None, False),
    "ReferenceStandardError": (0, None, False),
    "FaithfulnessCurve": (None, None, None),
    "FaithfulnessArea": (None, None, True),
}
SHARES = ("sign", "top", "signed_top")


@pytest.fixture(autouse=True)
def backend():
    before = matplotlib.get_backend()
    matplotlib.use("agg")
    yield
    plt.close("all")
    matplotlib.use(before)


@pytest.fixture(scope="module")
def updated_metrics():
    """Return every metric, updated with all rows."""
    found = [make_metric(entry) for entry in CATALOGUE]
    for one in found:
        one.update(**arguments(one, WHOLE))
    return dict(zip(NAMES, found, strict=True))


@pytest.mark.parametrize(("entry", "name"), list(zip(CATALOGUE, NAMES, strict=True)), ids=NAMES)
def test_bounds(updated_metrics, entry, name):
    metric, (low, high, better) = updated_metrics[name], BOUNDS[entry[0]]
    low = 0 if entry[1].get("kind") in SHARES else low
    assert (metric.plot_lower_bound, metric.plot_upper_bound, metric.higher_is_better) == (low, high, better)
    assert (metric.is_differentiable, metric.full_state_update) == (False, False)
    found = metric.compute()
    found = found[~found.isnan()]
    assert low is None or bool((found >= low).all())
    assert high is None or bool((found <= high).all())


@pytest.mark.parametrize("name", NAMES)
def test_one_result_and_several(updated_metrics, name):
    metric = updated_metrics[name]
    for val in (None, [metric.compute()] * 3):
        ax = Figure().subplots()
        figure, drawn = metric.plot(val, ax=ax)
        assert figure is None
        assert drawn is ax
        ax.figure.canvas.draw()
        low, high = ax.get_ylim()
        assert metric.plot_lower_bound is None or low < metric.plot_lower_bound
        assert metric.plot_upper_bound is None or high > metric.plot_upper_bound
        labels = [text.get_text() for text in ax.texts]
        assert any("Optimal" in one for one in labels) == (
            (metric.plot_upper_bound if metric.higher_is_better else metric.plot_lower_bound) is not None
            and metric.higher_is_better is not None
        )


def test_the_lines_of_several_results_are_labelled(updated_metrics):
    figure, ax = updated_metrics["SeqletRecall-(0.1, 0.5, 0.9)"].plot()
    assert figure is ax.figure
    assert ax.get_ylabel() == "SeqletRecall"
    assert [one.get_text() for one in ax.get_legend().get_texts()] == ["Threshold 0", "Threshold 1", "Threshold 2"]


def test_the_curves_of_faithfulness():
    metric = metrics.FaithfulnessCurve("insertion", shares=(0, 0.5, 1))
    curves = torch.tensor([[1.0, 0.25, 0.0], [1.0, 0.75, 0.0]])
    _, ax = metric.plot(curves)
    assert [line.get_xdata().tolist() for line in ax.lines] == [[0, 0.5, 1]] * 2
    assert [line.get_ydata().tolist() for line in ax.lines] == curves.tolist()
    assert [one.get_text() for one in ax.get_legend().get_texts()] == ["positions on top", "random positions"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("share of positions (insertion)", "output")
    _, ax = metric.plot([curves, curves + 1], ax=ax)
    assert [line.get_label() for line in ax.lines[2:]] == [
        "positions on top, step 0", "random positions, step 0", "positions on top, step 1", "random positions, step 1"
    ]  # fmt: skip


def test_a_collection_draws_all_of_its_metrics():
    collection = MetricCollection({"gini": metrics.AttributionGini(), "top": metrics.MethodAgreement("top", k=3)})
    collection.update(attributions=WHOLE["attributions"], others=WHOLE["others"])
    assert [ax.get_ylabel() for _, ax in collection.plot()] == ["AttributionGini", "MethodAgreement"]


def test_constants_cannot_be_set():
    with pytest.raises(RuntimeError, match="Can't change const"):
        metrics.MethodAgreement().plot_lower_bound = 3.0
