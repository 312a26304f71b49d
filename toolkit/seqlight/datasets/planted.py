"""Random sequences with two motifs planted at known places: data of which the answer is known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlight.datasets.array_dataset import ArrayDataset
from seqlight.datasets.labelled import LabelledSequences, LabelledSplit, MotifIntervals, label
from seqlight.errors import InputError
from seqlight.sequence import checks
from seqlight.sequence.one_hot import random_one_hot
from seqlight.sequence.shuffles import dinucleotide_shuffle

# The sites of AP-1, TGA[CG]TCA, and the core of those of CTCF.
MOTIFS: Mapping[str, str] = MappingProxyType({"AP-1": "TGASTCA", "CTCF": "CCASYAGRKGGC"})
# The letters that each IUPAC letter of a motif stands for.
IUPAC: Mapping[str, str] = MappingProxyType(
    {"A": "A", "C": "C", "G": "G", "T": "T", "S": "CG", "R": "AG", "Y": "CT", "K": "GT"}
)
# The frequencies of A, C, G and T in the human genome.
BACKGROUND = (0.295, 0.205, 0.205, 0.295)
_SHORTEST = sum(map(len, MOTIFS.values()))
_TRAIN_END, _VALID_END = 0.70, 0.85


def load_planted(n: int = 4000, *, length: int = 100, seed: int = 0) -> LabelledSequences:
    """Return random sequences with an AP-1 and a CTCF site each, and their shuffled versions.

    Half of the sequences are positives: letters are as frequent as in the human genome, and there is one
    site of each motif, drawn at random from its consensus, in random order at random places that do not
    overlap. A negative is a positive that is dinucleotide-shuffled as a whole.

    Parameters
    ----------
    n : int
        The number of sequences, positives and negatives; must be even.
    length : int
        Positions per sequence.
    seed : int
        The seed of all draws; positive i is shuffled with the seed ``seed + i``.

    Returns
    -------
    LabelledSequences
        Splits of 70, 15 and 15 %. The motifs are ``("AP-1", "CTCF")``, with one interval of each per positive.

    Raises
    ------
    InputError
        If `n` is odd or below 20, `length` has no room for both sites, or `seed` is not a seed.

    Examples
    --------
    >>> from seqlight import characters
    >>> from seqlight.datasets.planted import load_planted
    >>> data = load_planted(n=40, seed=0)
    >>> motifs = data.train.motifs
    >>> row, start, end = motifs.example_idx[0], motifs.start[0], motifs.end[0]
    >>> characters(data.train.X[row, :, start:end])
    'TGAGTCA'
    """
    n, length = checks.require_count(n, "n"), checks.require_count(length, "length")
    seed = checks.require_count(seed, "seed")
    if n < 20 or n % 2:
        raise InputError(f"n is {n}: expected an even number of at least 20, half of it positives.")
    if length < _SHORTEST:
        raise InputError(f"length is {length}: expected at least {_SHORTEST}, which the two sites take.")
    positives, starts = _positives(n // 2, length, seed)
    negatives = dinucleotide_shuffle(positives, start=0, end=None, n=1, random_state=seed)
    borders = [0, int(_TRAIN_END * n // 2), int(_VALID_END * n // 2), n // 2]
    train, valid, test = (_split(positives, negatives, starts, first, last) for first, last in pairwise(borders))
    return LabelledSequences(train, valid, test, tuple(MOTIFS), _provenance(n, length, seed))


class PlantedDataset(ArrayDataset):
    """One split of the planted sequences, as a Dataset that a YAML file can name.

    An item is `(X, y)`: int8 of shape (4, length), and 1 for a positive or 0.

    Parameters
    ----------
    split : {"train", "valid", "test"}
        The split.
    n, length, seed : int
        As in `load_planted`, for all three splits.

    Examples
    --------
    >>> from seqlight.datasets.planted import PlantedDataset
    >>> len(PlantedDataset("valid", n=40))
    6
    """

    def __init__(
        self, split: Literal["train", "valid", "test"] = "train", n: int = 4000, length: int = 100, seed: int = 0
    ) -> None:
        if split not in ("train", "valid", "test"):
            raise InputError(f"split is {split!r}: expected train, valid or test.")
        rows: LabelledSplit = getattr(load_planted(n, length=length, seed=seed), split)
        super().__init__(rows.X, rows.y)


def _positives(n: int, length: int, seed: int) -> tuple[Tensor, NDArray[np.int64]]:
    """Return sequences (n, 4, length) and where each motif starts in them (n, motifs)."""
    X = random_one_hot((n, 4, length), probs=BACKGROUND, random_state=seed)
    # A stream of its own, for the background is drawn with the seed itself.
    stream = np.random.RandomState([seed, 1])
    starts = _places(n, length, stream)
    rows = torch.arange(n)[:, None]
    for consensus, start in zip(MOTIFS.values(), starts.T, strict=True):
        columns = torch.from_numpy(start[:, None] + np.arange(len(consensus)))
        # Two index tensors around a slice put the letters last: (n, positions, letters).
        X[rows, :, columns] = _sites(consensus, n, stream)
    return X, starts


def _places(n: int, length: int, stream: np.random.RandomState) -> NDArray[np.int64]:
    """Return starts (n, motifs) of sites that do not overlap: random cuts of the free length, in random order."""
    widths = np.array([len(consensus) for consensus in MOTIFS.values()])
    cuts = np.sort(stream.randint(0, length - widths.sum() + 1, size=(n, len(widths))), axis=1)
    order = np.argsort(stream.random_sample((n, len(widths))), axis=1)
    ordered = widths[order]
    starts = np.empty((n, len(widths)), dtype=np.int64)
    np.put_along_axis(starts, order, cuts + np.cumsum(ordered, axis=1) - ordered, axis=1)
    return starts


def _sites(consensus: str, n: int, stream: np.random.RandomState) -> Tensor:
    """Return `n` spellings of a consensus, one-hot int8 of shape (n, positions, letters)."""
    choices = [["ACGT".index(letter) for letter in IUPAC[code]] for code in consensus]
    codes = np.stack([stream.choice(allowed, size=n) for allowed in choices], axis=1).astype(np.int64)
    return torch.nn.functional.one_hot(torch.from_numpy(codes), 4).to(torch.int8)


def _split(positives: Tensor, negatives: Tensor, starts: NDArray[np.int64], first: int, last: int) -> LabelledSplit:
    n = last - first
    widths = np.array([len(consensus) for consensus in MOTIFS.values()], dtype=np.int64)
    start = starts[first:last].reshape(-1)
    motif = np.tile(np.arange(len(widths), dtype=np.int64), n)
    example_idx = np.repeat(np.arange(n, dtype=np.int64), len(widths))
    motifs = MotifIntervals(example_idx, start, start + widths[motif], motif)
    return label(positives[first:last], negatives[first:last], torch.arange(first, last), motifs)


def _provenance(n: int, length: int, seed: int) -> str:
    record = {"made by": f"seqlight.datasets.planted.load_planted(n={n}, length={length}, seed={seed})"}
    return json.dumps(record | {"motifs": dict(MOTIFS), "background": BACKGROUND}, indent=1)
