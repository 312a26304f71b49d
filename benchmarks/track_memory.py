"""Measure the peak memory of ``seqlight.track`` over a genome with the chromosome sizes of hg38, and over one of them.

Usage: ``python benchmarks/track_memory.py [chromosomes ...]``, all by default. The genome is random letters, with gaps
of N, written for the purpose. The model is a difference of letters at each position, so that next to nothing is
computed but all is read, kept and written: 3.1 million windows of 2,114, of which the middle 1,000 positions are kept.
Each run is a process of its own. Its peak is resident memory as the system counts it, which includes pages of files
that are mapped.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import describe_machine, process_memory, run_script, write_results
from torch import Tensor, nn

import seqlight as sl
from seqlight.lit import PredictModule

WINDOW, TILE, LINE = 2114, 1000, 60
# GRCh38, the primary assembly.
SIZES = {
    "chr1": 248956422, "chr2": 242193529, "chr3": 198295559, "chr4": 190214555, "chr5": 181538259, "chr6": 170805979,
    "chr7": 159345973, "chr8": 145138636, "chr9": 138394717, "chr10": 133797422, "chr11": 135086622,
    "chr12": 133275309, "chr13": 114364328, "chr14": 107043718, "chr15": 101991189, "chr16": 90338345,
    "chr17": 83257441, "chr18": 80373285, "chr19": 58617616, "chr20": 64444167, "chr21": 46709983, "chr22": 50818468,
    "chrX": 156040895, "chrY": 57227415, "chrM": 16569,
}  # fmt: skip
# As in the assembly, each chromosome but the mitochondrial one begins with a gap.
GAP = 10_000


class Difference(nn.Module):
    """The purines minus the pyrimidines at each position."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, X: Tensor) -> Tensor:
        """Return (rows, positions)."""
        return (X[:, 0] + X[:, 2] - X[:, 1] - X[:, 3]) * self.weight


def write_genome(path: Path, names: list[str]) -> None:
    """Write random letters, the same million again and again, in lines of 60."""
    rng = np.random.RandomState(0)
    lines = np.full((17_000, LINE + 1), ord("\n"), np.uint8)
    lines[:, :LINE] = np.frombuffer(b"ACGT", np.uint8)[rng.randint(0, 4, (17_000, LINE))]
    block, letters = lines.tobytes(), lines[:, :LINE].size
    gap = (b"N" * LINE + b"\n") * (GAP // LINE)
    with path.open("wb") as file:
        for name in names:
            file.write(f">{name}\n".encode())
            whole, rest = divmod(SIZES[name], letters)
            for i in range(whole):
                file.write(gap + block[len(gap) :] if i == 0 and name != "chrM" else block)
            full, last = divmod(rest, LINE)
            file.write(block[: full * (LINE + 1)] + (block[:last] + b"\n" if last else b""))


def measure(folder: str, names: list[str]) -> dict[str, Any]:
    """Return seconds and memory of a track over the genome in a folder."""
    torch.set_num_threads(1)
    module, genome = PredictModule(Difference()), Path(folder) / "genome.fa"
    settings: dict[str, Any] = {"window": WINDOW, "tile": TILE, "accelerator": "cpu", "progress": False}
    # The first run of a process loads and compiles.
    sl.track(module, genome, f"{folder}/warm", regions=_first_region(names[0]), **settings)
    before, began = process_memory("VmHWM"), time.perf_counter()
    results = sl.track(module, genome, f"{folder}/out", batch_size=256, **settings)
    taken = time.perf_counter() - began
    path = Path(folder) / "out" / "predictions.bw"
    return {
        "chromosomes": len(names),
        "positions": sum(SIZES[name] for name in names),
        "windows": len(results),
        "seconds": taken,
        "peak_before": before,
        "peak": process_memory("VmHWM"),
        "anonymous_at_end": process_memory("RssAnon"),
        "bytes_of_results": sum(one.stat().st_size for one in path.parent.glob("shard-*.npz")),
        "bytes_of_bigwig": path.stat().st_size,
    }


def _first_region(name: str) -> Any:
    import pandas as pd

    return pd.DataFrame({"chrom": [name], "start": [GAP], "end": [GAP + 5 * TILE]})


def check(folder: str, names: list[str]) -> None:
    """Compare a few places of the bigWig file with the letters of the genome."""
    import pyBigWig

    genome = sl.Genome(Path(folder) / "genome.fa")
    value = np.array([1.0, -1.0, 1.0, -1.0])
    with pyBigWig.open(f"{folder}/out/predictions.bw") as file:
        assert file.chroms() == {name: SIZES[name] for name in names}
        for name in names:
            for start in (GAP, SIZES[name] // 2, SIZES[name] - 1500):
                start = max(0, min(start, SIZES[name] - 1500))
                loci = sl.Loci(*map(np.array, ([name], [start], [start + 1500], ["+"])))
                expected = value @ genome.cut(loci)[0].numpy()
                assert expected.any()
                np.testing.assert_array_equal(file.values(name, start, start + 1500, numpy=True), expected)


def main() -> None:
    if sys.argv[1:2] == ["measure"]:
        print(json.dumps(measure(sys.argv[2], sys.argv[3:])))
        return
    names = sys.argv[1:] or list(SIZES)
    unknown = [name for name in names if name not in SIZES]
    if unknown:
        sys.exit(f"there is no {unknown[0]!r}: expected chromosomes of hg38, such as chr21")
    machine, found = describe_machine(), dict[str, Any]()
    for label, mine in {"a chromosome": names[-4:-3] or names[:1], "all": names}.items():
        with tempfile.TemporaryDirectory() as folder:
            write_genome(Path(folder) / "genome.fa", mine)
            found[label] = run_script(__file__, "measure", folder, *mine)
            check(folder, mine)
            print(label, json.dumps(found[label]), flush=True)
    print(write_results("track_memory", {"window": WINDOW, "tile": TILE, "runs": found}, machine))


if __name__ == "__main__":
    main()
