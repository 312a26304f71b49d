"""Attributions on the device beside those of the CPU in float64, in every precision and with every switch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import seqlight as sl
from gpu_sections.bench import Bench, difference, short_floats, with_warnings
from gpu_sections.workloads import FULL, make_workload
from seqlight.prediction.device_dtypes import has_float64

# How far float64 and float32 may be from float64 on the CPU, by norm. Where the inputs of a window nearly tie, float32
# may credit another one than float64: the device may be as far off as twice what float32 on the CPU is.
ALLOWED = {"float64": 1e-9, "float32": 1e-3}
AS_FAR_AS_THE_CPU = 2.0
SWITCHES = {
    "conv": "torch.backends.cudnn.conv.fp32_precision = 'ieee'",
    "all": "torch.backends.fp32_precision = 'ieee'",
    "old": "torch.backends.cudnn.allow_tf32 = False",
    "high": "torch.set_float32_matmul_precision('high')",
}


def correctness(bench: Bench) -> dict[str, Any]:
    """Compare every network: in float64, in float32 with TF32 allowed and not, and in TF32 where it is asked for."""
    found = {}
    for name in FULL:
        model, X = make_workload(bench, name, 2 if bench.small else 4, kaiming=name in ("bpnet-like", "basset-like"))
        found[name] = _compare(bench, name, model, X)
        norms = (f"{key} {row['norm']:.1e}" for key, row in found[name].items() if isinstance(row, dict))
        bench.say(f"{name}: {', '.join(norms)}")
    return found


def _compare(bench: Bench, name: str, model: nn.Module, X: Tensor) -> dict[str, Any]:
    settings: dict[str, Any] = {"n_shuffles": 4 if bench.small else 10, "random_state": 0, "batch_size": 20}
    wanted = sl.attribute(model, X, device="cpu", dtype="float64", deltas="ignore", **settings)
    there = sl.attribute(model, X, device="cpu", deltas="ignore", **settings)
    row: dict[str, Any] = {"float32 on the CPU": difference(there.attributions, wanted.attributions)}
    allowed = ALLOWED | {
        "float32": max(ALLOWED["float32"], AS_FAR_AS_THE_CPU * row["float32 on the CPU"]["norm"]),
    }
    for label, dtype, short, precision in (
        ("float64", "float64", False, None),
        ("float32", None, False, None),
        ("float32, with TF32 allowed", None, True, None),
        ("tf32, as asked for", None, False, "tf32"),
    ):
        if dtype == "float64" and not has_float64(bench.device):
            row[label] = "the device has no float64"
            continue
        try:
            with short_floats(short, short):
                more: dict[str, Any] = {"dtype": dtype, "precision": precision, **settings}
                got, caught = with_warnings(lambda more=more: sl.attribute(model, X, device=bench.device, **more))
        except Exception as error:
            row[label] = f"{type(error).__name__}: {str(error)[:300]}"
            bench.expect(False, f"{name}, {label}: {row[label][:160]}")
            continue
        changes = (got.outputs.unsqueeze(-1) - got.reference_outputs).abs().mean()
        row[label] = difference(got.attributions, wanted.attributions)
        row[label] |= {"deltas": float(got.deltas.abs().mean() / changes), "warnings": caught}
        bench.expect_near(row[label], allowed.get(label[:7], 1.0), f"{name}, {label}")
    return row


def precision_settings(bench: Bench) -> dict[str, str]:
    """Set precision in each way that PyTorch has, which it does not let be mixed, and attribute through an LSTM."""
    return {name: _attribute_after(bench, code) for name, code in SWITCHES.items()}


def _attribute_after(bench: Bench, code: str) -> str:
    script = "\n".join(
        [
            f"import sys; sys.path[:0] = {sys.path[:3]!r}",
            f"import torch, warnings; warnings.simplefilter('ignore'); {code}",
            f"import pkgutil; pkgutil.resolve_name({bench.plugin!r})()" if bench.plugin else "",
            "import seqlight as sl",
            "from networks import Recurrent",
            "X = sl.random_one_hot((2, 4, 60), random_state=0)",
            f"sl.deep_lift_shap(Recurrent().eval(), X, n_shuffles=2, random_state=0, device={str(bench.device)!r})",
        ]
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    result = "ok" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["?"])[-1][:200]
    bench.expect(result == "ok", f"precision set by {code}: {result}")
    return result


def marked_tests(bench: Bench) -> dict[str, Any] | str:
    """Run the tests that are marked gpu."""
    root = Path(__file__).parents[2]
    if not bench.cuda:
        return "only on CUDA"
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", "--tb=short"]
    command.append(str(root / "tests" / "test_gpu.py"))
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, timeout=120, check=False)
    (bench.out / "marked_tests.txt").write_text(done.stdout[-60000:] + done.stderr[-4000:])
    bench.expect(done.returncode == 0, f"pytest -m gpu ended with {done.returncode}: {done.stdout.splitlines()[-1:]}")
    return {"status": done.returncode, "last lines": done.stdout.splitlines()[-12:]}


def determinism(bench: Bench) -> dict[str, Any]:
    """Compute the same twice, in other batches, with cuDNN free to choose, and with deterministic algorithms."""
    found = {}
    for name in ("bpnet-like", "basset-like", "transformer"):
        model, X = make_workload(bench, name, 2 if bench.small else 8, kaiming=name != "transformer")
        references = sl.dinucleotide_shuffle(X, n=20, random_state=0)

        def attribute(batch_size: int, model: nn.Module = model, X: Tensor = X, r: Tensor = references) -> Tensor:
            return sl.deep_lift_shap(model, X, references=r, device=bench.device, batch_size=batch_size)

        once, twice = attribute(160), attribute(160)
        row: dict[str, Any] = {"equal twice": torch.equal(once, twice)}
        row |= {f"batches of {size}": difference(attribute(size), once) for size in (20, 64)}
        with torch.backends.cudnn.flags(benchmark=True):
            row["equal twice, benchmark"] = torch.equal(attribute(160), attribute(160))
        bench.expect(row["equal twice"], f"{name}: the same call twice gives other attributions")
        bench.expect_near(row["batches of 20"], 1e-4, f"{name}: in batches of 160 and of 20")
        found[name] = row
    return found
