"""Two processes give the same as one, however rows are divided; run as a script, this file is one of the two."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from catalogue import CATALOGUE, NAMES, ROWS, arguments, data, expected, make_metric, rows

# Borders of the batches of each process. Rows are in order, so that results of single sequences are too.
FEEDS = {
    "evenly": ([0, 4], [4, ROWS]),
    "unevenly": ([0, 1], [1, 3, 4, 5, ROWS]),
    "the second alone": ([], [0, 3, ROWS]),
    "the first alone": ([0, 2, ROWS], []),
}


def batches(borders):
    return [rows(data(), first, last) for first, last in pairwise(borders)]


def work(rank: int, folder: Path) -> None:
    torch.distributed.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    found = {}
    for feed, borders in FEEDS.items():
        parts = batches(borders[rank])
        for name, entry in zip(NAMES, CATALOGUE, strict=True):
            metric = make_metric(entry)
            # In a second epoch, both processes start again.
            for _ in range(2 if feed == "unevenly" else 1):
                metric.reset()
                for part in parts:
                    metric.update(**arguments(metric, part))
                found[feed, name] = metric.compute()
    torch.save(found, folder / f"rank-{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def found(tmp_path_factory, run_scripts):
    folder = tmp_path_factory.mktemp("processes")
    run_scripts(*([__file__, rank, folder] for rank in (0, 1)))
    return [torch.load(folder / f"rank-{rank}.pt") for rank in (0, 1)]


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize(("name", "entry"), list(zip(NAMES, CATALOGUE, strict=True)), ids=NAMES)
def test_two_processes_equal_one(found, name, entry, feed):
    one = expected(entry, data())
    for rank in (0, 1):
        assert found[rank][feed, name].dtype == torch.float64
        assert torch.allclose(found[rank][feed, name], one, rtol=1e-12, atol=1e-14, equal_nan=True)


if __name__ == "__main__":
    work(int(sys.argv[1]), Path(sys.argv[2]))
