"""``seqlight.metrics`` lists every name and loads nothing that is not needed."""

import ast
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

from seqlight import metrics


def test_every_name_exists_and_is_in_the_docstring():
    assert dir(metrics) == sorted(metrics.__all__)
    for name in metrics.__all__:
        assert getattr(metrics, name).__name__ == name
        assert name[0].isupper() or name in metrics.__doc__
    with pytest.raises(AttributeError, match="no attribute 'convergence'"):
        _ = metrics.convergence


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(metrics.__file__).read_text())
    declared = {
        (node.module, alias.asname)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("seqlight.metrics")
        for alias in node.names
    }
    assert declared == {(module, name) for name, module in metrics._HOME.items()}


def test_no_module_has_the_name_of_an_export():
    assert not {module.name for module in pkgutil.iter_modules(metrics.__path__)} & set(metrics.__all__)


def test_functions_load_neither_torchmetrics_nor_lightning(python):
    names = [name for name in metrics.__all__ if name[0].islower()]
    classes = [name for name in metrics.__all__ if name[0].isupper()]
    code = "import sys, seqlight.metrics; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    report = "print(json.dumps(sorted(sys.modules)))"
    steps = [f"import sys, json; from seqlight.metrics import {', '.join(some)}; {report}" for some in (names, classes)]
    lines = python("-c", "\n".join(steps)).stdout.splitlines()
    second, third = ({name.split(".")[0] for name in json.loads(line)} for line in lines)
    assert not second & {"torchmetrics", "lightning", "pytorch_lightning", "matplotlib", "captum"}
    assert "torchmetrics" in third
    assert "lightning" not in third


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--metric=seqlight.metrics.MotifWindowShare", "--metric.start=3", "--metric.end=9"], {"window": (3, 9)}),
        (["--metric=seqlight.metrics.SeqletRecall", "--metric.thresholds=[0.1, 0.2]"], {"thresholds": [0.1, 0.2]}),
        (["--metric=seqlight.metrics.ConvergenceDelta", "--metric.kind=max"], {"kind": "max"}),
    ],
)
def test_a_configuration_can_name_them(arguments, expected):
    from jsonargparse import ArgumentParser
    from torchmetrics import Metric

    parser = ArgumentParser()
    parser.add_argument("--metric", type=Metric)
    metric = parser.instantiate(parser.parse_args(arguments)).metric
    assert {name: getattr(metric, name) for name in expected} == expected
