"""Write the table of the README, and those of docs/speed.md, from the results in this folder.

Usage: ``python benchmarks/readme_tables.py``; with ``--check`` it only reports whether the tables are up to date.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from harness import RESULTS, read_results
from pages import ROOT, fill_section
from peers_table import peers_table

SCRIPT = "benchmarks/readme_tables.py"


def main() -> None:
    """Replace the text between two markers in each of the pages."""
    speed = (sequence_table, prediction_note, attribution_tables, kernel_table, gpu_tables, run_note)
    regions = {
        ROOT / "README.md": ("peers", peers_table()),
        ROOT / "docs" / "speed.md": ("speed", [line for section in speed for line in section()]),
    }
    for page, (name, lines) in regions.items():
        text = page.read_text(encoding="utf-8")
        begin, end = f"<!-- {name}: written by {SCRIPT} -->\n", f"<!-- end of {name} -->"
        updated = fill_section(text, "\n".join(lines) + "\n", begin, end)
        if "--check" in sys.argv and updated != text:
            sys.exit(f"{page.name} is out of date with benchmarks/results: run python {SCRIPT}")
        page.write_text(updated, encoding="utf-8")


def sequence_table() -> list[str]:
    """Return the lines of the table of operations on sequences, as Markdown."""
    sequences = read_results("speed_sequences")
    machine, work = sequences["machine"], sequences["workload"]
    lines = [
        f"Fastest of {work['rounds']} interleaved rounds on {machine['cpu']}, {machine['torch_threads']} threads, "
        f"PyTorch {machine['torch']}; {work['sequences']:,} sequences of {work['length']:,}, n = {work['n']}.",
        "",
        "| | seconds | times faster than tangermeme " + machine["tangermeme"] + " |",
        "|---|---|---|",
    ]
    for name, row in sequences["operations"].items():
        lines.append(f"| {name} | {row['seqlight_s']['least']:.3f} | {row['times_faster']['least']:.1f} |")
    first = sequences["first_call_s"]
    ours, theirs = first["seqlight"]["least"], first["tangermeme"]["least"]
    lines.append(
        f"| first dinucleotide_shuffle in a new process, without importing torch | {ours:.2f} | {theirs / ours:.1f} |"
    )
    return lines


def prediction_note() -> list[str]:
    """Return the overhead of `predict` over a loop written by hand."""
    inputs = read_results("speed_predict")["inputs"]
    overheads = [f"{100 * row['overhead']['least']:.1f} % ({name})" for name, row in inputs.items()]
    floor = "a hand-written loop under `torch.inference_mode`"
    return ["", f"Overhead of `predict` over {floor}: {', '.join(overheads)}."]


def attribution_tables() -> list[str]:
    """Return the tables of attribution speeds, and the peaks of memory."""
    peaks = read_results("memory_deeplift")["peak_bytes"]
    lines = [
        "",
        "`deep_lift_shap` with 20 references. *Floor*: plain autograd, with one forward pass of each sequence and",
        "one forward and one backward pass of each reference. Each was timed in its own processes, on two machines;",
        "the one with AVX2 is older, and was measured with an earlier version.",
    ]
    for registers, name in (("avx512", "AVX-512"), ("avx2", "AVX2")):
        found = read_results(f"speed_deeplift_{registers}")
        lines += [
            "",
            f"| {found['machine']['cpu']} with {name} | seconds | ratio to the floor | times faster than tangermeme "
            "| than Captum |",
            "|---|---|---|---|---|",
        ]
        for model, row in found["models"].items():
            size = f"{row['shape'][0]} x {row['shape'][2]:,}"
            lines.append(f"| {model}, {size} | {row['seqlight_s']['least']:.2f} | {ratios(row)} |")
        lines.append(f"| geometric mean | | {ratios(*found['models'].values())} |")
    each = (
        f"{name} {peak['20']['seqlight'] / 2**20:.0f} against {peak['20']['tangermeme'] / 2**20:.0f}"
        for name, peak in peaks.items()
    )
    lines += [
        "",
        "The other packages treat parts of the transformer as linear, which costs them no time, and their",
        "attributions of it are not complete: [where Captum's are complete, and where not](captum.md).",
        "",
        "Memory: the peak of one call above what the process used before, in MiB, seqlight against tangermeme:",
        f"{', '.join(each)}.",
    ]
    return lines


def ratios(*rows: dict[str, Any]) -> str:
    """Return the cells of a row, or of the geometric mean of several."""
    digits = {"over_floor": 2, "times_faster_than_tangermeme": 1, "times_faster_than_captum": 1}
    return " | ".join(f"{geometric_mean(row[name]['least'] for row in rows):.{n}f}" for name, n in digits.items())


def kernel_table() -> list[str]:
    """Return the table of the kernels and bytes of a sequence on a device, if those of Triton's path are known."""
    found = read_results("kernels")
    kinds = {
        "floor": "floor",
        "triton": "seqlight with Triton",
        "plain": "seqlight in plain PyTorch",
        "tangermeme": f"tangermeme {found['machine']['tangermeme']}",
        "captum": f"Captum {found['machine']['captum']}",
    }
    if not all(kinds.keys() <= row.keys() for row in found["models"].values()):
        return []
    lines = [
        "",
        "On a GPU: kernels launched, and MB that they read and write, for one sequence with "
        f"{found['workload']['references']} references;",
        "counted without one, by [a script](../benchmarks/count_kernels.py).",
        "",
        "| | " + " | ".join(kinds.values()) + " |",
        "|---|" + "---|" * len(kinds),
    ]
    for model, row in found["models"].items():
        cells = (f"{row[kind]['kernels']}, {row[kind]['megabytes']:,} MB" for kind in kinds)
        lines.append(f"| {model}, {found['workload']['lengths'][model]:,} | {' | '.join(cells)} |")
    return lines


def gpu_tables(folder: Path = RESULTS) -> list[str]:
    """Return a table for each GPU whose check lies in a folder; nothing where there is none."""
    lines: list[str] = []
    for path in sorted(folder.glob("gpu_check_*.json")):
        sections = json.loads(path.read_text(encoding="utf-8"))["sections"]
        machine, speed = sections["environment"], sections["speed"]
        lines += [
            "",
            f"| {machine.get('name', machine['device'])}, float32, PyTorch {machine['torch']} "
            "| milliseconds a sequence | ratio to the floor | times faster than tangermeme | than Captum | peak, MiB |",
            "|---|---|---|---|---|---|",
        ]
        lines += [gpu_row(name, row) for name, row in speed.items() if name.endswith("float32")]
    return lines


def gpu_row(name: str, row: dict[str, Any]) -> str:
    """Return the line of a network with so many pairs at a time; a cell is empty where nothing was measured."""
    ours, over = row["seqlight"], row["over the floor"]
    peers = (f"{over[peer] / over['seqlight']:.1f}" if peer in over else "" for peer in ("tangermeme", "captum"))
    peak = "" if ours["peak bytes"] is None else f"{ours['peak bytes'] / 2**20:.0f}"
    cells = [name.removesuffix(", float32"), f"{1e3 * ours['least'] / row['sequences']:.2f}", f"{over['seqlight']:.2f}"]
    return f"| {' | '.join([*cells, *peers, peak])} |"


def run_note() -> list[str]:
    """Return the overhead of a run, and the gain from a second process."""
    each = read_results("speed_run")["processes"].items()
    costs = ", ".join(f"{100 * row['clock']['one_over_bare']:.1f} % ({name})" for name, row in each)
    gains = ", ".join(f"{row['clock']['two_over_one']:.2f} times ({name})" for name, row in each)
    return [
        "",
        "Overhead of `run`, which writes shards, over the function alone, in one process with one thread:",
        f"{costs}. Two such processes compute",
        f"{gains} as many rows per second.",
    ]


if __name__ == "__main__":
    main()
