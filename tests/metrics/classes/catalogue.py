"""Every metric with settings, and data to try it on: one set of rows, whole or cut into batches."""

from __future__ import annotations

import inspect

import pandas as pd
import torch
from torch import nn

import seqlight as sl
from seqlight import metrics

ROWS, LENGTH = 7, 40


def with_kinds(name, kinds, **more):
    return [(name, {"kind": kind, **more}) for kind in kinds]


CATALOGUE = [
    *((name, {"reduction": how}) for name in ("AttributionEntropy", "EffectivePositions") for how in ("mean", "none")),
    ("AttributionGini", {}),
    *with_kinds("AttributionSimilarity", ("cosine", "pearson", "sign")),
    *with_kinds("AttributionSimilarity", ("sign",), reduction="none"),
    *with_kinds("MethodAgreement", ("rank_correlation", "top", "signed_top"), k=4),
    *with_kinds("MethodAgreement", ("top",), reduction="none"),
    *(("AttributionConsistency", {"k": 2, "share": 0.4, "basis": basis}) for basis in ("orthonormal", "released")),
    *(("KmerConsistency", {"k": k, "share": 0.2}) for k in (1, 3)),
    ("MotifWindowShare", {"start": 5, "end": 15}),
    ("MotifIntervalShare", {}),
    *(
        (name, {"thresholds": at})
        for name in ("SeqletRecall", "SeqletPrecision")
        for at in (None, 0.5, (0.1, 0.5, 0.9))
    ),
    ("SeqletRecall", {"min_overlap": 4, "min_iou": 0.3}),
    *(("SeqletIoU", {"thresholds": at}) for at in (None, (0.1, 0.5, 0.9))),
    *with_kinds("ConvergenceDelta", ("mean", "max", "relative")),
    *with_kinds("ReferenceStandardError", ("absolute", "relative")),
    *with_kinds("FaithfulnessCurve", ("deletion", "insertion"), target=1, n_shuffles=2, shares=(0, 0.1, 0.4, 1)),
    *with_kinds("FaithfulnessArea", ("deletion", "insertion"), n_shuffles=2, shares=(0, 0.1, 0.4, 1)),
    *with_kinds("FaithfulnessArea", ("deletion",), n_shuffles=2, shares=(0, 0.1, 1), reduction="none"),
]
NAMES = [f"{name}-{'-'.join(map(str, settings.values()))}" for name, settings in CATALOGUE]


def data():
    """Return arguments for the updates of all metrics, by name."""
    generator = torch.Generator().manual_seed(0)
    X = sl.random_one_hot((ROWS, 4, LENGTH), random_state=0)
    attributions, others = (torch.randn(X.shape, generator=generator) * X for _ in range(2))
    attributions[2] = 0
    reference_outputs = torch.randn(ROWS, 5, generator=generator)
    reference_outputs[3, 3:] = float("nan")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(4, 6, 5), nn.ReLU(), nn.Flatten(), nn.Linear(216, 3)).double()
    return {
        "X": X,
        "attributions": attributions,
        "others": others,
        "outputs": torch.randn(ROWS, generator=generator),
        "reference_outputs": reference_outputs,
        "standard_error": torch.rand(X.shape, generator=generator),
        "found": intervals(20, generator),
        "known": intervals(12, generator),
        "model": model,
    }


def intervals(n, generator):
    start = torch.randint(0, LENGTH - 10, (n,), generator=generator)
    width = torch.randint(1, 10, (n,), generator=generator)
    rows = torch.randint(0, ROWS, (n,), generator=generator)
    p = torch.rand(n, generator=generator, dtype=torch.float64)
    return pd.DataFrame({"example_idx": rows, "start": start, "end": start + width, "p-value": p})


def rows(whole, first, last):
    """Return some rows of the data, and of tables, whose example_idx then begins at 0."""

    def cut(one):
        if isinstance(one, pd.DataFrame):
            kept = one[one["example_idx"].between(first, last - 1)]
            return kept.assign(example_idx=kept["example_idx"] - first)
        return one[first:last] if isinstance(one, torch.Tensor) else one

    return {name: cut(one) for name, one in whole.items()}


def make_metric(entry, **more):
    name, settings = entry
    return getattr(metrics, name)(**settings, **more)


def arguments(metric, batch):
    """Return the arguments for the metric's update."""
    return {name: batch[name] for name in inspect.signature(metric.update).parameters}


def function_for(name):
    """Return the function with the same name as a class."""
    return next(getattr(metrics, one) for one in dir(metrics) if one.replace("_", "") == name.lower() and one != name)


def expected(entry, batch):
    """Return the result of the function for all rows at once."""
    name, settings = entry
    function = function_for(name)
    taken = {key: one for key, one in batch.items() if key in inspect.signature(function).parameters}
    return function(**taken, **settings)
