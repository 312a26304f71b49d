"""The command ``seqlight demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def demo(
    out: Path = Path("demo"),
    data: Literal["ecoli", "planted"] = "ecoli",
    epochs: int | None = None,
    seed: int = 0,
) -> None:
    """Train a small model on DNA, watch what it learns, and write a report.

    Example:
        seqlight demo --data planted --out demo

    Args:
        out: Folder for the report, the metrics and the attributions of each epoch.
        data: What to learn: translation starts of Escherichia coli, found by the Shine-Dalgarno motif
            before them, or random sequences with motifs planted at known places.
        epochs: How long to train; 12 for ecoli and 8 for planted if not given.
        seed: The seed of everything random. The same seed gives the same numbers.
    """
    # Lightning and the others are imported here, so that --help does not wait for them.
    from seqlight_callbacks.demo.report import write_report
    from seqlight_callbacks.demo.task import TASKS
    from seqlight_callbacks.demo.training import train

    task = TASKS[data](seed)
    print(f"seqlight demo: {task.question}")
    run = train(task, out, task.epochs if epochs is None else epochs, seed)
    report = write_report(run, out / "report.html")
    print(f"report: {report.resolve()}")
    for name, value in run.numbers().items():
        print(f"{name}: {value}")
