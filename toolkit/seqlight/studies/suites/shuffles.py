"""Shuffles against complete enumeration: what they can draw, and whether each with the same probability."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from seqlight.datasets.ecoli import read_ecoli_starts
from seqlight.sequence.one_hot import one_hot_encode
from seqlight.sequence.shuffles import dinucleotide_shuffle, shuffle
from seqlight.studies.suites.permutations import (
    count_dinucleotide_permutations,
    count_permutations,
    dinucleotide_permutations,
    draw_dinucleotide_permutation,
    last_exits,
    permutations,
)
from seqlight.studies.suites.suite import TableSuite

# Draws `n` shuffles of a text.
Sampler = Callable[[str, int], Sequence[str]]

# The first is of an issue of tangermeme's, the second has only one shuffle if last exits are kept, N is unknown.
PAIRED = (
    "ACCCACGATGATA ACGTACTGA AACACCCACAAC AAAATTTTATAT ACGTACTGACGGT ACGCGTATCGCGA ACNGTANCGATNA TTGACATACGATTGC "
    "GATTACACATGATTACA"
).split()
UNPAIRED = "AACGT ACGTAC AAAACCG ACGTNN AACCGGT".split()
DRAWS, ROWS, SHUFFLES, ENDS = 100_000, 200, 25, 12
# Enough draws for each cell of a table, so that the statistic has the distribution of chi-square.
LEAST_EXPECTED = 5


def _encode(text: str) -> Tensor:
    return one_hot_encode(text)[None]


def _texts(X: Tensor) -> list[str]:
    """Return the text of each row of X, shape (rows, 4, positions), N for an unknown character."""
    codes = torch.where(X.any(dim=1), X.argmax(dim=1), 4).numpy()
    letters = np.ascontiguousarray(np.frombuffer(b"ACGTN", np.uint8)[codes])
    return [one.decode() for one in letters.view(f"S{codes.shape[1]}")[:, 0].tolist()]


def _dinucleotide_call(text: str, n: int) -> list[str]:
    return _texts(dinucleotide_shuffle(_encode(text), end=None, n=n, random_state=0, allow_N=True)[0])


def _dinucleotide_seeds(text: str, n: int) -> list[str]:
    X = _encode(text).expand(n, -1, -1)
    return _texts(dinucleotide_shuffle(X, end=None, n=1, random_state=0, allow_N=True)[:, 0])


def _tangermeme_dinucleotide_call(text: str, n: int) -> list[str]:
    from tangermeme.ersatz import dinucleotide_shuffle as theirs

    return _texts(theirs(_encode(text), n=n, random_state=0, allow_N=True)[0])


def _tangermeme_dinucleotide_seeds(text: str, n: int) -> list[str]:
    from tangermeme.ersatz import dinucleotide_shuffle as theirs

    return _texts(theirs(_encode(text).expand(n, -1, -1).contiguous(), n=1, random_state=0, allow_N=True)[:, 0])


def _uniform(text: str, n: int) -> list[str]:
    stream = np.random.RandomState(0)
    return [draw_dinucleotide_permutation(text, stream) for _ in range(n)]


def _shuffle_call(text: str, n: int) -> list[str]:
    return _texts(shuffle(_encode(text), n=n, random_state=0)[0])


def _tangermeme_shuffle_call(text: str, n: int) -> list[str]:
    from tangermeme.ersatz import shuffle as theirs

    return _texts(theirs(_encode(text), n=n, random_state=0)[0])


# By name; "a seed each" is what attributions draw for the rows of a batch.
DINUCLEOTIDE_SAMPLERS: Mapping[str, Sampler] = {
    "seqlight, one call": _dinucleotide_call,
    "seqlight, a seed each": _dinucleotide_seeds,
    "tangermeme, one call": _tangermeme_dinucleotide_call,
    "tangermeme, a seed each": _tangermeme_dinucleotide_seeds,
    "uniform": _uniform,
}
SAMPLERS: Mapping[str, Sampler] = {"seqlight": _shuffle_call, "tangermeme": _tangermeme_shuffle_call}


def upper_tail(counts: Sequence[int]) -> float:
    """Return the p-value of counts if all cells are equally probable, by Pearson's chi-square.

    NaN where there are too few counts for each cell; 1 if there is only one cell.

    Examples
    --------
    >>> round(upper_tail([30, 50]), 3)
    0.025
    """
    cells, n = len(counts), sum(counts)
    if cells == 1:
        return 1.0
    if n < LEAST_EXPECTED * cells:
        return float("nan")
    expected = n / cells
    statistic = float(((np.asarray(counts) - expected) ** 2).sum() / expected)
    half = torch.tensor([(cells - 1) / 2, statistic / 2], dtype=torch.float64)
    return float(torch.special.gammaincc(half[0], half[1]))


def sampling_row(drawn: Sequence[str], possible: Sequence[str], reachable: Sequence[str]) -> dict[str, Any]:
    """Return how well draws agree with a uniform distribution over what is possible, and over what is reachable.

    Parameters
    ----------
    drawn : sequence of str
        In the order of drawing.
    possible, reachable : sequence of str
        Distinct texts; the second are some of the first.

    Returns
    -------
    dict
        found, the number of distinct draws; outside, the number of draws that are not possible; distance, the total
        variation from uniform over all that is possible; p_possible, p_reachable and p_pairs, of chi-square against
        uniform, the last for each draw together with the next one.
    """
    counts = Counter(drawn)
    outside = len(drawn) - sum(counts[text] for text in possible)
    shares = np.array([counts[text] for text in possible]) / len(drawn)
    row: dict[str, Any] = {"draws": len(drawn), "found": len(counts), "outside": outside}
    row["distance"] = float((np.abs(shares - 1 / len(possible)).sum() + outside / len(drawn)) / 2)
    row["p_possible"] = upper_tail([counts[text] for text in possible]) if not outside else 0.0
    within = set(counts) <= set(reachable)
    row["p_reachable"] = upper_tail([counts[text] for text in reachable]) if within else 0.0
    pairs = Counter(pairwise(drawn))
    cells = [pairs[one, other] for one in reachable for other in reachable] if len(reachable) <= 200 else []
    row["p_pairs"] = upper_tail(cells) if cells and within else float("nan")
    return row


def dinucleotide_table(
    texts: Sequence[str] = PAIRED, samplers: Mapping[str, Sampler] = DINUCLEOTIDE_SAMPLERS, draws: int = DRAWS
) -> pd.DataFrame:
    """Return a row for each text and sampler: what can be drawn, and what is."""
    rows = []
    for text in texts:
        possible = list(dinucleotide_permutations(text))
        kept = [one for one in possible if last_exits(one) == last_exits(text)]
        sizes = {"possible": len(possible), "by_theorem": count_dinucleotide_permutations(text), "reachable": len(kept)}
        for name, sampler in samplers.items():
            reachable = possible if name == "uniform" else kept
            rows.append({"sequence": text, "sampler": name, **sizes, **_row(sampler, text, draws, possible, reachable)})
    return pd.DataFrame(rows)


def shuffle_table(
    texts: Sequence[str] = UNPAIRED, samplers: Mapping[str, Sampler] = SAMPLERS, draws: int = DRAWS
) -> pd.DataFrame:
    """Return the same for shuffles of the letters alone."""
    rows = []
    for text in texts:
        possible = list(permutations(text))
        sizes = {"possible": len(possible), "by_theorem": count_permutations(text), "reachable": len(possible)}
        for name, sampler in samplers.items():
            rows.append({"sequence": text, "sampler": name, **sizes, **_row(sampler, text, draws, possible, possible)})
    return pd.DataFrame(rows)


def _row(sampler: Sampler, text: str, draws: int, possible: list[str], reachable: list[str]) -> dict[str, Any]:
    """Return the row, or the error; a sampler that is not installed or refuses the text is a row like another."""
    try:
        drawn = sampler(text, draws)
    except (ImportError, ValueError) as error:
        return {"draws": 0, "error": f"{type(error).__name__}: {error}"}
    return {**sampling_row(drawn, possible, reachable), "error": ""}


def positions_table(rows: int = ROWS, shuffles: int = SHUFFLES, ends: int = ENDS) -> pd.DataFrame:
    """Return how often a position of windows of Escherichia coli has its own letter again after shuffling.

    Returns
    -------
    pandas.DataFrame
        A row for each end ("first", "last"), number of positions from it and sampler, with the share that is the same.
    """
    X = read_ecoli_starts().X[:rows]
    stream = np.random.RandomState(0)
    uniform = [[draw_dinucleotide_permutation(text, stream) for _ in range(shuffles)] for text in _texts(X)]
    shuffled = {
        "dinucleotide_shuffle": dinucleotide_shuffle(X, end=None, n=shuffles, random_state=0),
        "uniform": torch.stack([torch.stack([one_hot_encode(one) for one in some]) for some in uniform]),
        "shuffle": shuffle(X, n=shuffles, random_state=0),
    }
    return pd.DataFrame(list(_shares(X, shuffled, ends)))


def _shares(X: Tensor, shuffled: dict[str, Tensor], ends: int) -> Iterator[dict[str, Any]]:
    for name, found in shuffled.items():
        same = (found * X[:, None]).sum(dim=2).double().mean(dim=(0, 1))
        for end, shares in (("first", same), ("last", same.flip(0))):
            for place, share in enumerate(shares[:ends].tolist()):
                yield {"end": end, "place": place, "sampler": name, "same": share}


def _tables() -> dict[str, pd.DataFrame]:
    return {
        "dinucleotide_shuffle": dinucleotide_table(),
        "shuffle": shuffle_table(),
        "positions": positions_table(),
    }


SUITE = TableSuite(
    name="shuffles",
    title="Shuffles against enumeration",
    question="Do shuffles reach every sequence that they could, and each with the same probability?",
    tables=_tables,
)
