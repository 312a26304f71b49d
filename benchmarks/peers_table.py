"""The table of the README in which seqlight stands beside other packages, from the results in this folder."""

from __future__ import annotations

from collections import Counter
from statistics import geometric_mean
from typing import Any

from harness import read_results

# Sums of contributions that miss no more than that are complete; beyond the other one they are wrong.
ROUNDING, WRONG = 1e-6, 0.05
PEERS = {"tangermeme": "tangermeme", "captum-deeplift": "Captum", "shap": "shap"}


def peers_table() -> list[str]:
    """Return the lines of the table, as Markdown."""
    operations, architectures = read_results("study_operations"), read_results("study_architectures")
    speed, memory = read_results("speed_deeplift_avx512")["models"], read_results("memory_deeplift")["peak_bytes"]
    versions = operations["versions"]
    titles = [f"{name} {versions[name.lower()]}" for name in PEERS.values()]
    names = ["seqlight", *PEERS]
    ways = {name: Counter(verdicts) for name, verdicts in verdicts_of_operations(operations).items()}
    trained = {name: Counter(judge_architectures(architectures, name)) for name in names}
    times = {name: [row.get(f"times_faster_than_{name.lower()}") for row in speed.values()] for name in PEERS.values()}
    peaks = [peak["20"]["tangermeme"] / peak["20"]["seqlight"] for peak in memory.values()]
    rows = [
        (
            f"[ways to write an operation](docs/studies/operations.md) that are explained completely, of "
            f"{len(operations['cases']):,}",
            [f"{ways[name]['complete']:,}" for name in names],
        ),
        ("... that are explained wrongly, in silence", [f"{ways[name]['wrong in silence']:,}" for name in names]),
        (
            f"[published architectures](docs/studies/architectures.md), trained, that are explained completely, of "
            f"{len(architectures['trained'])}",
            [str(trained[name]["complete"]) for name in names],
        ),
        ("... that are explained wrongly, in silence", [str(trained[name]["wrong in silence"]) for name in names]),
        (
            f"[time](docs/speed.md) of `deep_lift_shap`, of {len(speed)} networks, on a CPU",
            ["1", *(_times([one["least"] for one in found if one]) for found in times.values())],
        ),
        ("[memory](docs/speed.md) of the same", ["1", _times(peaks), *["not measured"] * 2]),
    ]
    lines = [f"| | seqlight | {' | '.join(titles)} |", "|---" * (len(names) + 1) + "|"]
    return [*lines, *(f"| {title} | {' | '.join(cells)} |" for title, cells in rows)]


def _times(ratios: list[float]) -> str:
    return f"{geometric_mean(ratios):.1f} times" if ratios else "not measured"


def verdicts_of_operations(results: dict[str, Any]) -> dict[str, list[str]]:
    """Return what came of each case, for each implementation."""
    rows = [line.split("; ") for line in results["cases"].values()]
    # A verdict stands before the miss, if there is one.
    return {
        name: [one.rpartition(" ")[0] if "e-" in one or "e+" in one else one for one in column]
        for name, column in zip(results["implementations"], zip(*rows, strict=True), strict=True)
    }


def judge_architectures(results: dict[str, Any], implementation: str) -> list[str]:
    """Return what came of each trained architecture; in one that mixes the rows of a batch any numbers are wrong."""
    cells = [one for one in results["cells"] if one["implementation"] == implementation]
    return [_judge(one, results["mixed rows"]) for one in cells if one["model"].endswith(": trained")]


def _judge(cell: dict[str, Any], mixed: dict[str, float]) -> str:
    if cell["status"] != "ok":
        return "no result"
    wrong = cell["model"] in mixed or cell["miss"] > WRONG
    if not wrong:
        return "complete" if cell["miss"] <= ROUNDING else "nearly"
    return "wrong in silence" if cell["verdict"] == "silent" else "wrong and warned"
