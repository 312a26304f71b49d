"""The check of a GPU, rehearsed on the CPU: its sections run, one that fails does not end it, a table shows it."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import gpu_check
import pytest
import torch
from gpu_sections.bench import Bench, difference
from gpu_sections.kernels import plain_path
from gpu_sections.speed import time_jobs
from readme_tables import gpu_tables

from seqlight.attribution.kernels.table import TRITON

SCRIPT = Path(gpu_check.__file__)


@pytest.fixture
def bench(tmp_path):
    return Bench(torch.device("cpu"), tmp_path, small=True)


def test_the_quick_sections_find_no_problem_on_the_cpu(python, tmp_path):
    python(SCRIPT, "--device", "cpu", "--small", "--quick", "--out", tmp_path)
    found = json.loads((tmp_path / "gpu_check.json").read_text())
    assert found["problems"] == []
    assert list(found["sections"]) == [name for name, section in gpu_check.SECTIONS.items() if section.quick]
    assert found["sections"]["correctness"]["transformer"]["float32"]["norm"] < 1e-4
    assert found["sections"]["places"]["nothing on the device, run on cpu"]["norm"] < 1e-4


def test_tensors_may_lie_anywhere_on_the_pretend_device(python, pretend, tmp_path):
    paths = os.pathsep.join([str(Path(pretend.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    plugin = ("--plugin", "pretend_device:load", "--device", "pretend")
    environment = {**os.environ, "PYTHONPATH": paths}
    python(SCRIPT, *plugin, "--small", "--only", "places", "--out", tmp_path, env=environment)
    found = json.loads((tmp_path / "gpu_check.json").read_text())
    assert found["problems"] == []
    names = "model and X and references on the device, run on pretend", "predict on the CPU what is on the device, 2"
    assert all(found["sections"]["places"][name]["norm"] < 1e-4 for name in names)


def test_kernels_can_be_left_out():
    lines = {id(line.function): line.function for line in TRITON}.values()
    before = [one.failed for one in lines]
    with plain_path():
        assert all(one.failed for one in lines)
    assert [one.failed for one in lines] == before


def test_a_section_that_fails_is_named_and_the_next_one_begins(bench, monkeypatch, capsys):
    def fail(bench):
        raise ZeroDivisionError("by this section")

    places = {"gpu_sections.a": SimpleNamespace(a=fail), "gpu_sections.b": SimpleNamespace(b=lambda bench: "done")}
    monkeypatch.setattr(gpu_check, "SECTIONS", {"a": gpu_check.Section("a", 1), "b": gpu_check.Section("b", 1)})
    monkeypatch.setattr(gpu_check.importlib, "import_module", places.__getitem__)
    found = {"sections": {}, "seconds": {}}
    for name in ("a", "b"):
        gpu_check.check(bench, name, found)
    assert bench.problems == ["a failed: ZeroDivisionError: by this section"]
    assert "ZeroDivisionError" in found["sections"]["a"]["failed"]
    assert found["sections"]["b"] == "done"


def test_a_section_does_not_begin_without_time(bench, capsys):
    bench.budget = 1.0
    found = {"sections": {}, "seconds": {}}
    gpu_check.check(bench, "speed", found)
    assert found["sections"] == {"speed": "no time left"}


def test_what_a_call_raises_is_said_in_one_line(bench):
    assert bench.outcome(lambda: 1 / 0) == "ZeroDivisionError: division by zero"
    assert bench.outcome(lambda: 1) == "ok"


def test_differences_are_of_the_norm_and_of_the_largest_value():
    found = difference(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1.0, 2.0, 2.0]))
    assert found == {"norm": pytest.approx(2 / 3), "worst": 1.0}


def test_the_readme_has_a_table_for_each_gpu_that_was_checked(bench):
    assert gpu_tables(bench.out) == []
    slow, quick = (lambda n=n: torch.randn(n, n) @ torch.randn(n, n) for n in (400, 40))
    row = time_jobs(bench, {"floor": quick, "seqlight": quick, "tangermeme": slow, "captum": lambda: 1 / 0}, rows=2)
    found = {"environment": {"device": "cuda", "name": "Some GPU", "torch": "2.13"}}
    found["speed"] = {"basset-like, 20 pairs, float32": row, "basset-like, 20 pairs, tf32": row}
    (bench.out / "gpu_check_some_gpu.json").write_text(json.dumps({"sections": found}))
    _, header, _, line = gpu_tables(bench.out)
    assert header.startswith("| Some GPU, float32, PyTorch 2.13 |")
    assert line.count("|") == header.count("|")
    name, seconds, over, tangermeme, captum, _ = [cell.strip() for cell in line.split("|")[1:-1]]
    assert (name, captum) == ("basset-like, 20 pairs", "")
    assert float(seconds) == pytest.approx(1e3 * row["seqlight"]["least"] / 2, abs=0.005)
    assert float(over) == pytest.approx(row["over the floor"]["seqlight"], abs=0.005)
    assert float(tangermeme) == pytest.approx(row["tangermeme"]["least"] / row["seqlight"]["least"], abs=0.05)
    assert row["captum"] == "ZeroDivisionError: division by zero"
