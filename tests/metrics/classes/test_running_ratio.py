"""Every metric of the catalogue: batches, devices, dtypes and copies; for two processes see test_processes.py."""

from __future__ import annotations

import functools
import inspect
import pickle
from itertools import pairwise

import pytest
import torch
from catalogue import CATALOGUE, NAMES, ROWS, arguments, data, expected, function_for, make_metric, rows
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torchmetrics import MetricCollection

import seqlight as sl
from seqlight import metrics
from seqlight.metrics.classes import running_metric

WITHOUT_ATTRIBUTIONS = ("ReferenceStandardError", {"kind": "absolute"})
WHOLE = data()
every_metric = pytest.mark.parametrize("entry", CATALOGUE, ids=NAMES)
# All metrics that read attributions.
every_metric_of_attributions = pytest.mark.parametrize(
    "entry", [entry for entry in CATALOGUE if not entry[0].startswith("Seqlet") and entry != WITHOUT_ATTRIBUTIONS]
)


def update_with(metric, *parts):
    for part in parts:
        metric.update(**arguments(metric, part))
    return metric


@functools.cache
def cut_whole(first, last):
    return rows(WHOLE, first, last)


def rows_of_whole(first, last):
    """Return some rows of all data; a batch is cut once, since that takes longer than most metrics."""
    return dict(cut_whole(first, last))


@functools.cache
def of_whole(i):
    """Return what the function of an entry gives, which is the same for every split."""
    return expected(CATALOGUE[i], WHOLE)


def close(a, b):
    return a.dtype == b.dtype and torch.allclose(a, b, rtol=1e-12, atol=1e-14, equal_nan=True)


def test_each_class_has_a_function_with_its_name_and_arguments():
    classes = {name for name in metrics.__all__ if name[0].isupper()}
    assert classes == {name for name, _ in CATALOGUE}
    assert len(metrics.__all__) == 2 * len(classes)
    for name in classes:
        one = getattr(metrics, name)
        taken = [*inspect.signature(one.update).parameters][1:] + [*inspect.signature(one).parameters][:-1]
        assert sorted(taken) == sorted(inspect.signature(function_for(name)).parameters)
        for key, parameter in inspect.signature(one).parameters.items():
            if key != "settings":
                assert parameter.default == inspect.signature(function_for(name)).parameters[key].default


@every_metric
@settings(max_examples=12)
@given(cuts=st.sets(st.integers(1, ROWS - 1)))
def test_any_split_into_batches_equals_one(entry, cuts):
    borders = [0, *sorted(cuts), ROWS]
    parts = [rows_of_whole(first, last) for first, last in pairwise(borders)]
    assert close(update_with(make_metric(entry), *parts).compute(), of_whole(CATALOGUE.index(entry)))


@every_metric
def test_forward_returns_the_batch_and_adds_to_the_sum(entry):
    metric, parts = make_metric(entry), (rows_of_whole(0, 4), rows_of_whole(4, ROWS))
    for part in parts:
        assert close(metric(**arguments(metric, part)), expected(entry, part))
    assert close(metric.compute(), expected(entry, WHOLE))


@every_metric
def test_reset(entry):
    metric = update_with(make_metric(entry), rows_of_whole(0, 5))
    metric.compute()
    metric.reset()
    assert close(update_with(metric, rows_of_whole(3, ROWS)).compute(), expected(entry, rows_of_whole(3, ROWS)))


@every_metric
def test_copies_are_independent(entry):
    metric = update_with(make_metric(entry), rows_of_whole(0, 4))
    # Arguments are pickled with the metric, so a lambda would not do.
    for copy in (metric.clone(), pickle.loads(pickle.dumps(metric))):
        assert close(update_with(copy, rows_of_whole(4, ROWS)).compute(), expected(entry, WHOLE))
    assert close(metric.compute(), expected(entry, rows_of_whole(0, 4)))


@every_metric
def test_a_state_dict_continues_in_another_metric(entry):
    metric, other = make_metric(entry), make_metric(entry)
    assert not metric.state_dict()
    for one in (metric, other):
        one.persistent(True)
    other.load_state_dict(update_with(metric, rows_of_whole(0, 4)).state_dict())
    assert close(update_with(other, rows_of_whole(4, ROWS)).compute(), expected(entry, WHOLE))


@every_metric
def test_nothing_narrows_the_sums(entry):
    holder = nn.Module()
    holder.metric = update_with(make_metric(entry), rows_of_whole(0, 4))
    holder.weight = nn.Parameter(torch.ones(1))
    for narrow in (nn.Module.half, nn.Module.bfloat16, lambda one: one.to("cpu", torch.float16), nn.Module.float):
        narrow(holder)
    assert holder.weight.dtype == torch.float32
    assert close(update_with(holder.metric, rows_of_whole(4, ROWS)).compute(), expected(entry, WHOLE))


@every_metric
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_inputs_are_summed_in_float64(entry, dtype):
    floating = ("attributions", "others", "outputs", "reference_outputs", "standard_error")
    half = WHOLE | {name: WHOLE[name].to(dtype) for name in floating}
    exact = half | {name: half[name].double() for name in floating}
    assert close(update_with(make_metric(entry), half).compute(), expected(entry, exact))


@pytest.mark.reliability(
    "accelerators",
    "a metric goes to a device without float64, as in a training on MPS, and back to the CPU at its end",
    "its sums are in float32 there, and in float64 again on the CPU",
)
@every_metric
def test_a_device_without_float64_and_back(pretend, entry):
    metric = update_with(make_metric(entry), WHOLE)
    with pretend.switched(no_float64=True):
        for place, dtype in (("pretend:1", torch.float32), ("pretend:0", torch.float32), ("cpu", torch.float64)):
            metric.to(place)
            states = [
                one for each in metric.metric_state.values() for one in (each if isinstance(each, list) else [each])
            ]
            assert {one.device for one in states} == {torch.device(place)}
            assert {one.dtype for one in states if one.is_floating_point()} <= {dtype}
    exact = expected(entry, WHOLE)
    assert torch.allclose(metric.compute(), exact, rtol=1e-4, atol=1e-6, equal_nan=True)


@every_metric
def test_without_batches(entry):
    metric = make_metric(entry)
    with pytest.warns(UserWarning, match="before the ``update`` method"):
        found = metric.compute()
    nothing = getattr(metric, "zero_division", torch.nan)
    assert found.dtype == torch.float64
    assert torch.allclose(found, torch.full_like(found, nothing), equal_nan=True)
    assert (found.numel() == 0) == (getattr(metric, "reduction", "mean") == "none")


@every_metric_of_attributions
def test_nan_stays(entry):
    broken = rows_of_whole(0, 3)
    broken["attributions"] = broken["attributions"] * torch.nan
    for parts in ((broken, rows_of_whole(3, ROWS)), (rows_of_whole(3, ROWS), broken)):
        assert update_with(make_metric(entry), *parts).compute().isnan().any()


@every_metric_of_attributions
def test_an_error_does_not_change_the_sums(entry):
    metric = update_with(make_metric(entry), rows_of_whole(0, 4))
    empty = {name: one[:0] if isinstance(one, torch.Tensor) else one for name, one in WHOLE.items()}
    with pytest.raises(sl.InputError, match=r"none of them 0|is empty"):
        metric.update(**arguments(metric, empty))
    assert close(update_with(metric, rows_of_whole(4, ROWS)).compute(), expected(entry, WHOLE))


def test_a_collection_equals_its_metrics():
    collection = MetricCollection({str(i): make_metric(entry) for i, entry in enumerate(CATALOGUE)})
    for part in (rows_of_whole(0, 4), rows_of_whole(4, ROWS)):
        collection.update(**part)
    found = collection.compute()
    for i, entry in enumerate(CATALOGUE):
        assert close(found[str(i)], expected(entry, WHOLE)), entry


def test_a_collection_does_not_merge_different_metrics():
    """MetricCollection merges metrics whose states are equal after the first batch, here all of them."""
    together = MetricCollection([metrics.SeqletRecall(), metrics.SeqletPrecision(), metrics.SeqletIoU()])
    windows = MetricCollection({str(end): metrics.MotifWindowShare(0, end) for end in (2, 3)})
    same = rows_of_whole(0, 1)["known"][:1]
    more = WHOLE["known"].sort_values("start")
    together.update(found=same, known=same)
    together.update(found=more[:3], known=more)
    windows.update(torch.tensor([[1.0, 1.0, 0.0, 0.0]]))
    windows.update(torch.tensor([[1.0, 1.0, 4.0, 0.0]]))
    assert {name: float(value) for name, value in windows.compute().items()} == {"2": 0.5, "3": 1.0}
    assert len({float(value) for value in together.compute().values()}) == 3
    # Two equal metrics may be merged.
    twice = MetricCollection({"a": metrics.AttributionGini(), "b": metrics.AttributionGini()})
    twice.update(torch.eye(4))
    assert len(twice.compute_groups) == 1


def test_on_a_device_without_float64_sums_are_in_float32(monkeypatch):
    monkeypatch.setattr(
        running_metric, "sum_dtype", lambda device: torch.float32 if device.type == "meta" else torch.float64
    )
    metric = update_with(metrics.AttributionGini(), WHOLE)

    def refusing(tensor):
        assert tensor.dtype != torch.float64, "this device has no float64"
        return tensor.to("meta")

    metric._apply(refusing)
    assert metric.device.type == "meta"
    assert metric.top.dtype == metric._defaults["bottom"].dtype == torch.float32
    assert metric.told_apart.dtype == torch.int64


def test_sums_stay_exact_over_many_batches():
    metric = metrics.MotifWindowShare(0, 1)
    metric.update(torch.tensor([[2.0**26, 0.0]], dtype=torch.float32))
    for _ in range(100):
        metric.update(torch.tensor([[0.0, 1.0]]))  # in float32 each would be lost
    assert float(metric.compute()) == 2**26 / (2**26 + 100)


def test_the_graph_of_a_batch_is_not_kept():
    attributions = torch.randn(2, 10, requires_grad=True)
    metric = metrics.AttributionEntropy()
    value = metric(attributions)
    assert not value.requires_grad
    assert not metric.compute().requires_grad
