"""A toy genome in all the ways in which people keep one, and what is in it, by slicing strings."""

from __future__ import annotations

import numpy as np
import pytest

PARTNER = dict(zip("ACGTNRYSWKMBDHVX", "TGCANYRSWMKVHDBX", strict=True))


def other_strand(text):
    return "".join(PARTNER[letter] for letter in reversed(text))


def draw(length, seed, letters="ACGTacgtNnRy"):
    rng = np.random.RandomState(seed)
    weights = np.array([6.0 if letter in "ACGTacgt" else 1.0 for letter in letters])
    return "".join(rng.choice(list(letters), size=length, p=weights / weights.sum()))


def written(path, genome, line=13, newline="\n", last=True):
    """Write a FASTA file, and return its path."""
    parts = []
    for name, text in genome.items():
        lines = [text[i : i + line] for i in range(0, len(text), line)]
        parts.append(newline.join([f">{name} something else", *lines]))
    path.write_bytes((newline.join(parts) + (newline if last else "")).encode())
    return path


def window(genome, chrom, start, end, strand="+"):
    """Return what a model sees of a window: upper case, N for what is unknown or off the chromosome."""
    text = genome[chrom].upper()
    found = "".join(text[i] if 0 <= i < len(text) else "N" for i in range(start, end))
    found = other_strand(found) if strand == "-" else found
    return "".join(letter if letter in "ACGT" else "N" for letter in found)


def one_hot(text):
    """Return (4, positions) as nested lists, one comparison at a time."""
    return [[int(letter == known) for letter in text] for known in "ACGT"]


@pytest.fixture(scope="session")
def genome():
    return {"chr1": draw(317, 1), "chr2": draw(150, 2), "chrX": draw(90, 3), "chrM": draw(5, 4)}


@pytest.fixture
def fasta(genome, tmp_path):
    return written(tmp_path / "toy.fa", genome)
