"""Count the kernels and bytes that ``seqlight.deep_lift_shap`` would ask a device for, beside others and the floor.

Usage: ``python benchmarks/count_kernels.py [floor|tangermeme|captum|plain|triton|before ...]``, all but `before` unless
some are named; with ``count triton transformer`` it prints what a method launches for a model, by operation, and needs
SEQLIGHT_NATIVE=0. No device is needed: what reaches PyTorch's backend on the CPU, without the compiled loops, is what a
device would be asked for. What counts is what one more sequence with 20 references adds to a call. `plain` is the path
in plain PyTorch, `triton` the one with Triton's kernels, none of which is launched; for `before`, put the package of
commit 15fb076 on PYTHONPATH.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import warnings
from importlib.metadata import version
from typing import Any

import torch
from harness import describe_machine, make_parser, read_results, run_script, write_results
from kernel_counter import KernelCounter, rules_of_devices
from speed_deeplift import REFERENCES, WORKLOADS, captum_deeplift, floor, tangermeme_deep_lift_shap

import seqlight as sl
from seqlight.attribution.engine import policy
from seqlight.attribution.kernels import memory_layout

RESULTS, BEFORE = "kernels", "15fb076"
MODELS = ("bpnet-like", "basset-like", "transformer")
METHODS = ("floor", "tangermeme", "captum", "plain", "triton")


def count(method: str, name: str) -> dict[str, Any]:
    """Return the kernels and bytes of one more sequence: those of a call with two, less those of a call with one."""
    one, two = (_count_call(method, name, rows) for rows in (1, 2))
    kernels, moved = two.launches - one.launches, two.bytes - one.bytes
    by_operation = {key: [n, round(moved[key] / 1e6, 2)] for key, n in kernels.most_common()}
    return {"kernels": kernels.total(), "megabytes": round(moved.total() / 1e6), "by_operation": by_operation}


def _count_call(method: str, name: str, rows: int) -> KernelCounter:
    # What a CPU alone does in plain PyTorch: many numbers piece by piece, and convolutions with channels last.
    memory_layout.LONG, policy.compiled = sys.maxsize, lambda: True
    make, _, length = WORKLOADS[name]
    torch.manual_seed(0)
    model = make().eval().requires_grad_(False)
    X = sl.random_one_hot((rows, 4, length), random_state=0).float()
    references = torch.cat([sl.dinucleotide_shuffle(x[None], n=REFERENCES, random_state=0) for x in X]).float()
    settings: dict[str, Any] = {"references": references, "device": "cpu", "batch_size": REFERENCES}
    # Others set up in a first call what a second one finds.
    for counter in (KernelCounter(), KernelCounter()):
        with contextlib.ExitStack() as stack:
            if method == "triton":
                stack.enter_context(counter.counting_triton())
            stack.enter_context(counter)
            stack.enter_context(rules_of_devices())
            if method == "floor":
                floor(model, X, references)
            elif method == "captum":
                captum_deeplift(model, X, references)
            elif method == "tangermeme":
                tangermeme_deep_lift_shap(model, X, warning_threshold=1e9, **settings)
            else:
                sl.deep_lift_shap(model, X, **settings)
    return counter


def main(methods: tuple[str, ...]) -> None:
    """Count, print and write what these methods launch."""
    os.environ["SEQLIGHT_NATIVE"] = "0"
    machine = {**describe_machine(), "captum": version("captum"), "triton": version("triton")}
    known = _known()
    models: dict[str, Any] = {name: known.get(name, {}) for name in MODELS}
    for method in methods:
        if method == "triton":
            os.environ["TRITON_INTERPRET"] = "1"
        for name, row in models.items():
            found = run_script(__file__, "count", method, name)
            row[method] = {"kernels": found["kernels"], "megabytes": found["megabytes"]}
            print(f"{name}, {method}: {found['kernels']} kernels, {found['megabytes']:,} MB", flush=True)
        os.environ.pop("TRITON_INTERPRET", None)
    workload = {"references": REFERENCES, "dtype": "float32", "lengths": {name: WORKLOADS[name][2] for name in MODELS}}
    print(write_results(RESULTS, {"before_commit": BEFORE, "workload": workload, "models": models}, machine))


def _known() -> dict[str, Any]:
    try:
        return read_results(RESULTS)["models"]  # type: ignore[no-any-return]
    except FileNotFoundError:
        return {}


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # Captum's notice about its hooks
    match sys.argv[1:]:
        case ["count", *one]:
            parser = make_parser("Print what a method launches for a model, by operation.", "count")
            parser.add_argument("method", choices=(*METHODS, "before"))
            parser.add_argument("model", choices=MODELS)
            asked = parser.parse_args(one)
            print(json.dumps(count(asked.method, asked.model)))
        case several:
            parser = make_parser(__doc__)
            parser.add_argument("methods", nargs="*", choices=(*METHODS, "before"), help="all but before by default")
            main(tuple(parser.parse_args(several).methods) or METHODS)
