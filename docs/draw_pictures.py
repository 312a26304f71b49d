"""Draw the picture of the README: train the network of the demo, and draw the logos of its report."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from seqlight.report import figures
from seqlight_callbacks.demo.task import ecoli_task
from seqlight_callbacks.demo.training import train

IMAGES = Path(__file__).parent / "images"


def main() -> None:
    """Write ecoli_logos.png."""
    task = ecoli_task(seed=0)
    with tempfile.TemporaryDirectory() as folder:
        run = train(task, Path(folder), task.epochs, seed=0)
    record = run.attribution.record
    assert record is not None
    strongest = torch.argsort(record.outputs, descending=True, stable=True)[:3].tolist()
    titles = [f"probe {i}, output {float(record.outputs[i]):+.2f} (logit)" for i in strongest]
    assert task.window is not None
    picture = figures.logos(
        record.attributions[strongest],
        titles,
        run.seqlets.seqlets,
        strongest,
        [[task.window]] * len(strongest),
        task.ruler,
    )
    IMAGES.mkdir(exist_ok=True)
    picture.savefig(IMAGES / "ecoli_logos.png", dpi=110)


if __name__ == "__main__":
    main()
