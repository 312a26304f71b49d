"""The page about GPUs: its code runs on the CPU and on the pretend device, and what it names is there."""

import re

import pytest
import torch

import seqlight as sl
import seqlight_callbacks
from seqlight import lit
from seqlight.prediction import batch_size
from seqlight.prediction.device_memory import out_of_memory_error

from .conftest import DOCS, blocks_of

TEXT = (DOCS / "gpu.md").read_text()


@pytest.mark.parametrize("available", [False, True])
def test_the_code_runs(pretend, available):
    names = {}
    with pretend.switched(available=available, tf32=True):
        for text in blocks_of(TEXT, "python"):
            exec(compile(text, "gpu.md", "exec"), names)
    near = sl.deep_lift_shap(names["model"], names["X"], random_state=0, device="cpu")
    difference = (names["attributions"] - near).norm() / near.norm()
    assert (1e-6 if available else 0) <= difference < 1e-2  # in TF32 on the device


def test_the_check_has_the_options_that_are_named(python):
    help_text = python(DOCS.parent / "benchmarks" / "gpu_check.py", "--help").stdout
    commands = " ".join(line for line in TEXT.splitlines() if "gpu_check.py" in line)
    named = set(re.findall(r"--[a-z]+", commands)) | {"--budget"}
    assert named == {"--write", "--device", "--small", "--quick", "--budget"}
    assert named <= set(re.findall(r"--[a-z]+", help_text))


def test_numbers_are_those_of_the_code():
    assert f"the first batch has {batch_size.FIRST_ROWS} rows" in TEXT
    assert f"at most {batch_size.MOST_ROWS:,}, which is not measured on a GPU" in TEXT
    assert batch_size.SHARE == 0.6
    assert "six tenths" in TEXT


def test_names_are_those_of_the_code():
    named = set(re.findall(r"`([A-Z]\w+(?:Warning|Memory|Module|Callback))`", TEXT))
    assert {"MemoryWarning", "KernelWarning", "OutOfMemory", "DeepLiftShapModule"} <= named
    places = (sl, lit, seqlight_callbacks)
    assert [name for name in named if not any(hasattr(place, name) for place in places)] == []
    assert issubclass(out_of_memory_error(torch.device("cpu"), "", "", "").__class__, torch.OutOfMemoryError)
