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
from gpu_sections.speed import describe, time_jobs
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


def test_without_an_accelerator_the_cpu_is_not_taken_unasked(monkeypatch, capsys):
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: None)
    with pytest.raises(SystemExit, match="2"):
        gpu_check.find_device(None)
    assert capsys.readouterr().err == (
        f"No accelerator was found by this PyTorch ({torch.__version__}): install a build for your GPU, "
        "or rehearse on the CPU with --device cpu --small --quick.\n"
    )
    assert gpu_check.find_device("cpu") == torch.device("cpu")


def test_an_accelerator_of_a_plugin_is_found(pretend):
    assert gpu_check.find_device(None, "pretend_device:load") == torch.device("pretend")
    with pretend.switched(available=True):
        assert gpu_check.find_device(None) == torch.device("pretend")
    assert gpu_check.find_device("pretend:1") == torch.device("pretend:1")


@pytest.mark.parametrize("name", ["gpu", "meta", "no{such}"])
def test_a_device_that_makes_no_tensors_is_refused_in_one_line(name, capsys):
    with pytest.raises(SystemExit, match="2"):
        gpu_check.find_device(name)
    line = capsys.readouterr().err
    assert line.startswith(f"No tensor can be made on the device {name!r} by this PyTorch ({torch.__version__}), ")
    assert line.endswith("rehearse on the CPU with --device cpu --small --quick.\n")
    assert line.count("\n") == 1


def test_the_script_ends_before_its_first_section(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("sys.argv", ["gpu_check.py", "--device", "gpu", "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="2"):
        gpu_check.main()
    assert capsys.readouterr().out == ""
    assert not (tmp_path / "out").exists()


def test_what_was_not_timed_is_said(bench):
    bench.small, bench.budget = False, 1.0
    row = time_jobs(bench, {"floor": lambda: None, "seqlight": lambda: None}, rows=2)
    assert describe(row) == "no time left"
    row = {"sequences": 2, "floor": {"least": 0.5}, "seqlight": {"least": 1.0}, "captum": "no time left"}
    assert describe(row | {"over the floor": {"floor": 1.0, "seqlight": 2.0}}) == (
        "over the floor: floor 1.00, seqlight 2.00, captum (no time left)"
    )
    assert describe(row | {"floor": "RuntimeError: no", "over the floor": {}}) == (
        "without a floor: floor (RuntimeError: no), seqlight 1 s, captum (no time left)"
    )


def test_a_section_that_is_skipped_says_why(bench, monkeypatch, capsys):
    places = {"gpu_sections.a": SimpleNamespace(a=lambda bench: "only on CUDA")}
    monkeypatch.setattr(gpu_check, "SECTIONS", {"a": gpu_check.Section("a", 1)})
    monkeypatch.setattr(gpu_check.importlib, "import_module", places.__getitem__)
    gpu_check.check(bench, "a", {"sections": {}, "seconds": {}})
    assert capsys.readouterr().out == "a ...\n  skipped: only on CUDA\n"


def test_a_problem_names_the_limit(bench):
    bench.expect_near({"norm": 1e-5, "worst": 1.0}, 1e-4, "near")
    bench.expect_near({"norm": 2e-4}, 1e-4, "far")
    bench.expect_near({"failed": "why"}, 1e-4, "none")
    assert bench.problems == [
        "far: 2.0e-04 apart by norm, where less than 0.0001 was due: {'norm': 0.0002}",
        "none: nothing to compare, where less than 0.0001 was due: {'failed': 'why'}",
    ]


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
