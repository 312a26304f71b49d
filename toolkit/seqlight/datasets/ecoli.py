"""Translation starts of Escherichia coli, against the same windows with their upstream part shuffled.

A ribosome finds most starts by the Shine-Dalgarno motif (AGGAGG and its relatives) some 5 to 13 bases before the start
codon. In the negatives the upstream part is shuffled, so that a model can only succeed by that motif.
``benchmarks/build_ecoli_starts.py`` builds the file.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlight.datasets.labelled import LabelledSequences, LabelledSplit, MotifIntervals, label
from seqlight.sequence import checks
from seqlight.sequence.shuffles import dinucleotide_shuffle

UPSTREAM = 40
DOWNSTREAM = 20
# From 18 to 4 bases before the start codon, in positions of the window.
MOTIF_START, MOTIF_END = UPSTREAM - 18, UPSTREAM - 4 + 1
# The fractions of the genome at which the blocks for training and validation end.
_TRAIN_END, _VALID_END = 0.70, 0.85


class StartSites(NamedTuple):
    """Windows around start codons, in the order of the genome.

    Attributes
    ----------
    X : torch.Tensor, int8, shape (starts, 4, 60)
        One-hot, on the strand of the gene; the A of the start codon is at position 40.
    position : numpy.ndarray, int64, shape (starts,)
        Where that A is on the forward strand of the genome, counted from 0.
    strand : numpy.ndarray, int64, shape (starts,)
        1 or -1.
    genome_length : int
        In bases.
    provenance : str
        Accession, checksum, package and command, as JSON.
    """

    X: Tensor
    position: NDArray[np.int64]
    strand: NDArray[np.int64]
    genome_length: int
    provenance: str

    def spans(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the first and the last position of each window on the forward strand."""
        forward = self.strand == 1
        return (
            np.where(forward, self.position - UPSTREAM, self.position - DOWNSTREAM + 1),
            np.where(forward, self.position + DOWNSTREAM - 1, self.position + UPSTREAM),
        )


def read_ecoli_starts() -> StartSites:
    """Read the windows around start codons of Escherichia coli that come with the package.

    Returns
    -------
    StartSites
        1,961 windows from -40 to +20 around an ATG that opens at least 300 codons.

    Examples
    --------
    >>> from seqlight.datasets.ecoli import read_ecoli_starts
    >>> tuple(read_ecoli_starts().X.shape)
    (1961, 4, 60)
    """
    file = resources.files("seqlight.datasets").joinpath("ecoli_starts.npz")
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        codes = torch.from_numpy(stored["codes"].astype(np.int64))
        position, strand = stored["position"].astype(np.int64), stored["strand"].astype(np.int64)
        provenance = str(stored["provenance"])
    X = torch.nn.functional.one_hot(codes, 4).permute(0, 2, 1).to(torch.int8).contiguous()
    return StartSites(X, position, strand, int(json.loads(provenance)["genome_length"]), provenance)


def load_ecoli_starts(seed: int = 0, *, train_shuffles: int = 3) -> LabelledSequences:
    """Return translation starts of Escherichia coli and their shuffled versions.

    A positive is a window from -40 to +20 around a start codon. A negative is a positive whose part
    before the start codon is dinucleotide-shuffled; the ATG (at position 40) and what follows stay.
    The splits are contiguous blocks of 70, 15 and 15 % of the genome, and windows across a border
    are left out.

    Parameters
    ----------
    seed : int
        Start i of the genome is shuffled with the seed ``seed + i``.
    train_shuffles : int
        How many negatives each positive has for training. One is enough to learn; more keep a model
        from memorising single negatives. Validation and test have one.

    Returns
    -------
    LabelledSequences
        One motif, ``"Shine-Dalgarno"``, with one interval per positive: it may be anywhere from -18
        to -4, both included, and not every gene has one.

    Raises
    ------
    InputError
        If `train_shuffles` is below 1, or `seed` is not a seed.

    References
    ----------
    .. [1] Shine, J. and Dalgarno, L. (1974), The 3'-terminal sequence of Escherichia coli 16S ribosomal
       RNA, Proceedings of the National Academy of Sciences 71, 1342-1346.

    Examples
    --------
    >>> from seqlight.datasets.ecoli import load_ecoli_starts
    >>> data = load_ecoli_starts(seed=0)
    >>> tuple(data.test.X.shape), int(data.test.y.sum())
    ((566, 4, 60), 283)
    """
    seed = checks.require_count(seed, "seed")
    train_shuffles = checks.require_count(train_shuffles, "train_shuffles", least=1)
    sites = read_ecoli_starts()
    negatives = dinucleotide_shuffle(sites.X, start=0, end=UPSTREAM, n=train_shuffles, random_state=seed)
    block = _blocks(sites)
    train, valid, test = (
        _split(sites.X, negatives[:, :shuffles], torch.from_numpy(np.flatnonzero(block == i)))
        for i, shuffles in enumerate((train_shuffles, 1, 1))
    )
    return LabelledSequences(train, valid, test, ("Shine-Dalgarno",), sites.provenance)


def _blocks(sites: StartSites) -> NDArray[np.int64]:
    """Return the block (0, 1 or 2) of each window, and -1 for a window across a border."""
    borders = (np.array([_TRAIN_END, _VALID_END]) * sites.genome_length).astype(np.int64)
    first, last = (np.searchsorted(borders, ends, side="right") for ends in sites.spans())
    return np.where(first == last, first, -1).astype(np.int64)


def _split(positives: Tensor, negatives: Tensor, ids: Tensor) -> LabelledSplit:
    n = len(ids)
    motifs = MotifIntervals(
        np.arange(n, dtype=np.int64),
        np.full(n, MOTIF_START, dtype=np.int64),
        np.full(n, MOTIF_END, dtype=np.int64),
        np.zeros(n, dtype=np.int64),
    )
    return label(positives[ids], negatives[ids], ids, motifs)
