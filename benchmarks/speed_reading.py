"""Time reading windows of a genome beside pyfaidx and pyBigWig, and beside tangermeme's extract_loci.

Usage: ``python benchmarks/speed_reading.py [rounds]``; needs pyfaidx and the extras ``tracks`` and ``bench``. A genome
is made up, with 100 million positions in lines of 60, windows of 2,114 at random places on both strands, and a bigWig
file with a value at every position of chr2. All files are in the page cache. There is one thread unless stated
otherwise, and batches of 64 rows in random order, as in training. All that is compared must give equal tensors.
"""

from __future__ import annotations

import gc
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyBigWig
import pyfaidx
import torch
from harness import count_argument, describe_machine, process_memory, write_results
from tangermeme.io import extract_loci
from torch.utils.data import DataLoader, Dataset

from seqlight.datasets import Genome, GenomeDataset, Signals

SIZES = {"chr1": 60_000_000, "chr2": 38_000_000, "chr3": 2_000_000}
ROWS, AT_ONCE, SIGNAL_ROWS, WINDOW, SIGNAL_WINDOW, BATCH, LINE = 4096, 2048, 1024, 2114, 1000, 64, 60


class PyfaidxDataset(Dataset[torch.Tensor]):
    """A dataset as usually written: a slice of a pyfaidx record, one comparison a letter, a flip for the other strand.

    Each worker opens the file itself. With one open file for several forked workers, which is common too, they move
    each other's position in the file, and rows are wrong.
    """

    def __init__(self, fasta: Path, loci: Any) -> None:
        self.fasta, self.loci, self.pid = fasta, loci, -1
        self.letters = np.frombuffer(b"ACGT", np.uint8)[:, None]

    def __len__(self) -> int:
        return len(self.loci.start)

    def __getitem__(self, row: int) -> torch.Tensor:
        if self.pid != os.getpid():
            self.genome, self.pid = pyfaidx.Fasta(str(self.fasta), as_raw=True, sequence_always_upper=True), os.getpid()
        chrom, start, end, strand = (field[row] for field in self.loci)
        text = np.frombuffer(self.genome[chrom][int(start) : int(end)].encode(), np.uint8)
        X = (text == self.letters).astype(np.int8)
        return torch.from_numpy(X[::-1, ::-1].copy() if strand == "-" else X)


def make_files(folder: Path) -> tuple[Path, Path]:
    rng = np.random.RandomState(0)
    with (folder / "toy.fa").open("wb") as file:
        for name, size in SIZES.items():
            text = np.frombuffer(b"ACGTacgt", np.uint8)[rng.randint(0, 8, size, dtype=np.uint8)]
            text[:10_000] = ord("N")
            lines = np.full((-(-size // LINE), LINE + 1), ord("\n"), np.uint8)
            lines[:, :LINE].flat[:size] = text
            # The last line may be shorter, and ends with the text.
            file.write(f">{name}\n".encode() + lines.tobytes()[: size + size // LINE].rstrip(b"\n") + b"\n")
    big = pyBigWig.open(str(folder / "toy.bw"), "w")
    big.addHeader(list(SIZES.items()))
    for start in range(0, SIZES["chr2"], 10**6):
        big.addEntries("chr2", start, values=rng.poisson(0.3, 10**6).astype(np.float64), span=1, step=1)
    big.close()
    return folder / "toy.fa", folder / "toy.bw"


def random_regions(n: int, chroms: list[str]) -> pd.DataFrame:
    rng = np.random.RandomState(1)
    chrom = rng.choice(chroms, n)
    start = [rng.randint(WINDOW, SIZES[name] - 2 * WINDOW) for name in chrom]
    strand = rng.choice(["+", "-"], n)
    return pd.DataFrame({"chrom": chrom, "start": start, "end": np.add(start, 500), "strand": strand})


def read_batches(dataset: Any, order: list[int]) -> Callable[[], Iterator[torch.Tensor]]:
    """Return a call that reads all rows in this order, a batch at a time."""
    return lambda: (dataset.batch(order[i : i + BATCH]) for i in range(0, len(order), BATCH))


def load_batches(dataset: Any, order: list[int], workers: int = 0) -> Callable[[], Iterator[torch.Tensor]]:
    """Return a call that reads all rows in this order with a DataLoader."""
    loader = DataLoader(
        dataset, BATCH, sampler=order, num_workers=workers, persistent_workers=workers > 0, generator=torch.Generator()
    )
    return lambda: iter(loader)


def compare_speeds(calls: dict[str, Callable[[], Any]], rows: int, rounds: int, ours: str) -> dict[str, Any]:
    """Time calls in turn, by the clock and (without workers) by the processor, which is steadier."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for _ in range(rounds + 1):
        for name, call in calls.items():
            gc.collect()
            start, busy = time.perf_counter(), time.process_time()
            call()
            seconds[name].append((time.perf_counter() - start, time.process_time() - busy))
    # Without the first round, which warms up.
    least = {name: [min(column) for column in zip(*taken[1:], strict=True)] for name, taken in seconds.items()}
    table: dict[str, Any] = {}
    for name, (clock, busy) in least.items():
        table[name] = {"rows_per_s": rows / clock, "seqlight_times_faster": clock / least[ours][0]}
        if "workers" not in name:
            table[name] |= {"rows_per_cpu_s": rows / busy, "seqlight_times_faster_cpu": busy / least[ours][1]}
        print(f"{name:48}", *(f"{key} {value:,.2f}" for key, value in table[name].items()), flush=True)
    return table


def consume(call: Callable[[], Iterator[torch.Tensor]]) -> Callable[[], None]:
    """Return a call that reads all batches and keeps none, as a training does."""

    def read() -> None:
        for _ in call():
            pass

    return read


def require_equal(calls: dict[str, Callable[[], Any]]) -> None:
    """Raise AssertionError unless all calls return equal tensors."""
    first, *others = (call() for call in calls.values())
    for name, other in zip(list(calls)[1:], others, strict=True):
        if not torch.equal(first, other):
            raise AssertionError(f"{name} gives another result")


def compare_sequences(fasta: Path, rounds: int) -> dict[str, Any]:
    table = random_regions(ROWS, list(SIZES))
    dataset = GenomeDataset(fasta, table, WINDOW)
    by_hand = PyfaidxDataset(fasta, dataset.loci)
    order = np.random.RandomState(2).permutation(ROWS).tolist()
    moving = GenomeDataset(fasta, table, WINDOW, jitter=128, reverse_complement=True)
    calls = {
        "batches": read_batches(dataset, order),
        "DataLoader": load_batches(dataset, order),
        "DataLoader, 2 workers": load_batches(dataset, order, 2),
        "pyfaidx and comparisons, DataLoader": load_batches(by_hand, order),
        "pyfaidx and comparisons, DataLoader, 2 workers": load_batches(by_hand, order, 2),
    }
    require_equal({name: lambda call=call: torch.cat(list(call())) for name, call in calls.items()})
    calls["batches, jitter and other strand"] = read_batches(moving, order)
    # tangermeme reads one strand, in the order of the table.
    places = table[["chrom", "start", "end"]][:AT_ONCE]
    whole = {
        "seqlight": lambda: GenomeDataset(fasta, places, WINDOW).batch(range(AT_ONCE)),
        "tangermeme": lambda: extract_loci(places, str(fasta), in_window=WINDOW).to(torch.int8),
    }
    require_equal(whole)
    return {
        "training": compare_speeds({name: consume(call) for name, call in calls.items()}, ROWS, rounds, "DataLoader"),
        "all at once": compare_speeds(whole, AT_ONCE, rounds, "seqlight"),
    }


class PyBigWigSignals:
    """Signals read with pyBigWig, one call for each row."""

    def __init__(self, bigwig: Path, loci: Any) -> None:
        self.file, self.loci, self.first = pyBigWig.open(str(bigwig)), loci, (WINDOW - SIGNAL_WINDOW) // 2

    def batch(self, rows: Any) -> torch.Tensor:
        """Return the signals of these rows, shape (rows, 1, positions)."""
        values = []
        for row in rows:
            start = int(self.loci.start[row]) + self.first
            values.append(self.file.values(self.loci.chrom[row], start, start + SIGNAL_WINDOW, numpy=True))
        return torch.from_numpy(np.nan_to_num(np.stack(values))[:, None])


class DatasetSignals:
    """The signals of a dataset, without the sequences."""

    def __init__(self, dataset: GenomeDataset) -> None:
        self.dataset = dataset

    def batch(self, rows: Any) -> torch.Tensor:
        """Return the signals of these rows, shape (rows, 1, positions)."""
        loci, first = self.dataset.loci, (WINDOW - SIGNAL_WINDOW) // 2
        chrom, start = loci.chrom[rows], loci.start[rows] + first
        return torch.from_numpy(self.dataset.signals.read(chrom, start, SIGNAL_WINDOW, np.zeros(len(rows), bool)))


def compare_signals(fasta: Path, bigwig: Path, rounds: int) -> dict[str, Any]:
    table = random_regions(SIGNAL_ROWS, ["chr2"]).drop(columns="strand")
    dataset = GenomeDataset(fasta, table, WINDOW, signals=Signals(bigwig, window=SIGNAL_WINDOW))
    calls = {
        "seqlight": lambda: GenomeDataset(fasta, table, WINDOW, signals=Signals(bigwig, window=SIGNAL_WINDOW)).batch(
            range(SIGNAL_ROWS)
        )[1],
        "tangermeme": lambda: extract_loci(
            table, str(fasta), [str(bigwig)], in_window=WINDOW, out_window=SIGNAL_WINDOW, n_jobs=1
        )[1],
    }
    require_equal(calls)
    order = np.random.RandomState(2).permutation(SIGNAL_ROWS).tolist()

    random = {
        "seqlight": read_batches(DatasetSignals(dataset), order),
        "pyBigWig": read_batches(PyBigWigSignals(bigwig, dataset.loci), order),
    }
    require_equal({name: lambda call=call: torch.cat(list(call())) for name, call in random.items()})
    return {
        "signals, in random batches": compare_speeds(
            {name: consume(call) for name, call in random.items()}, SIGNAL_ROWS, rounds, "seqlight"
        ),
        "sequences and signals, all at once": compare_speeds(calls, SIGNAL_ROWS, rounds, "seqlight"),
    }


def measure_genome(fasta: Path) -> dict[str, Any]:
    """Return the seconds before the first window of a genome, and the memory that reading all over it takes."""
    taken = {}
    for name in ("index made", "index there"):
        start = time.perf_counter()
        Genome(fasta)
        taken[name] = time.perf_counter() - start
    start = time.perf_counter()
    pyfaidx.Faidx(str(fasta), indexname=str(fasta.with_name("other.fai"))).close()
    taken["index made by pyfaidx"] = time.perf_counter() - start
    dataset = GenomeDataset(fasta, random_regions(100_000, ["chr1", "chr2"]), WINDOW, jitter=1)
    start = time.perf_counter()
    dataset.fingerprint()
    taken["fingerprint of 100,000 windows"] = time.perf_counter() - start
    dataset.batch(range(BATCH))
    before = process_memory("RssAnon")
    for i in range(0, len(dataset), 4 * BATCH):
        dataset.batch(range(i, min(len(dataset), i + 4 * BATCH)))
    return {
        "seconds": taken,
        "memory_grown_bytes": process_memory("RssAnon") - before,
        "file_bytes": fasta.stat().st_size,
    }


def main(rounds: int) -> None:
    torch.set_num_threads(1)
    machine = describe_machine() | {"pyfaidx": pyfaidx.__version__, "pyBigWig": pyBigWig.__version__}
    with tempfile.TemporaryDirectory() as folder:
        fasta, bigwig = make_files(Path(folder))
        found = {"once": measure_genome(fasta)}
        found |= compare_sequences(fasta, rounds)
        found |= compare_signals(fasta, bigwig, rounds)
    workload = {
        "rows": ROWS,
        "rows_at_once": AT_ONCE,
        "window": WINDOW,
        "batch": BATCH,
        "signal_rows": SIGNAL_ROWS,
        "rounds": rounds,
    }
    print(found["once"])
    print(write_results("speed_reading", {"workload": workload, **found}, machine))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(count_argument(7))
