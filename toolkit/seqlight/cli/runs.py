"""What ``seqlight predict`` and ``seqlight attribute`` share: a run over the data, and what is said of its results."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def run_command(
    module: Any,
    data: Path,
    out: Path,
    batch_size: int | str,
    shard_rows: int | None,
    workers: int,
    devices: int | str,
    num_nodes: int,
    strategy: str,
    accelerator: str,
    precision: str | None = None,
) -> None:
    """Run a module over a file, on any devices, and print where the results are."""
    from seqlight.cli.sequences import open_sequences
    from seqlight.lit.run import run
    from seqlight.prediction.batch_size import require_batch_size

    results = run(
        module,
        open_sequences(data, inputs=module.inputs),
        out,
        devices=devices,
        num_nodes=num_nodes,
        strategy=strategy,
        accelerator=accelerator,
        precision=precision,
        batch_size=require_batch_size(batch_size),
        shard_rows=shard_rows,
        workers=workers,
    )
    print(results)
