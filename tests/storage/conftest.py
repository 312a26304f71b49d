"""A small genome, and windows cut from it: on both strands, and over the ends of chromosomes."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch

import seqlight as sl

COMPLEMENT = dict(zip("ACGTN", "TGCAN", strict=True))
WINDOW = 40


def other_strand(text):
    return "".join(COMPLEMENT[letter] for letter in reversed(text))


class Cut(NamedTuple):
    genome: dict[str, str]
    sizes: dict[str, int]
    loci: pd.DataFrame
    X: torch.Tensor


@pytest.fixture
def cut():
    genome = {
        name: sl.characters(sl.random_one_hot((1, 4, length), random_state=length)[0])
        for name, length in (("chr2", 150), ("chr10", 90))
    }
    sizes = {name: len(text) for name, text in genome.items()}
    rows = [
        ("chr2", 30, "+"),
        ("chr2", 50, "-"),  # overlaps the one before
        ("chr10", -7, "+"),
        ("chr10", 60, "-"),  # ends 10 behind the end
        ("chr2", -3, "-"),
        ("chr2", 115, "."),  # ends 5 behind the end
    ]
    loci = pd.DataFrame([(chrom, start, start + WINDOW, strand) for chrom, start, strand in rows])
    loci.columns = ["chrom", "start", "end", "strand"]
    texts = []
    for chrom, start, end, strand in loci.itertuples(index=False):
        text = "".join(genome[chrom][i] if 0 <= i < sizes[chrom] else "N" for i in range(start, end))
        texts.append(other_strand(text) if strand == "-" else text)
    return Cut(genome, sizes, loci, sl.one_hot_encode(texts))


@pytest.fixture
def seqlets():
    rng = np.random.RandomState(0)
    start = rng.randint(0, WINDOW - 15, 60)
    return pd.DataFrame(
        {
            "example_idx": np.arange(60) % 6,
            "start": start,
            "end": start + 15,  # longer than what any window has off its chromosome
            "attribution": rng.normal(size=60),
            "p-value": rng.uniform(size=60) ** 40,
        }
    )


@pytest.fixture
def in_a_process(python):
    """Run code in a process of its own, which may die of it, and return the lines that it printed."""

    def run(code, *arguments):
        done = python("-c", code, *arguments)
        return done.stdout.splitlines()

    return run
