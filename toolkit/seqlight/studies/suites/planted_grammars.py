"""Sequences whose label follows from a grammar of planted motifs, with decoys that do not matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlight.errors import InputError

# Sites of AP-1, of MYC and of GATA: the grammars read the first two, the third is in every sequence and says nothing.
MOTIFS = MappingProxyType({"A": "TGACTCAT", "B": "CCACGTGA", "C": "AGATAAGA"})
WIDTH = 8
# Letters that a near-motif has otherwise than its motif.
CHANGED = 2
# Characters between A and B in the grammar of spacing, and in its negatives.
RIGHT_GAP, WRONG_GAPS = 8, (2, 5, 11, 14, 20)
Rule = Literal["single", "and", "or", "order", "spacing"]
_LETTERS = "ACGT"


@dataclass(frozen=True)
class Arrangement:
    """Which words are planted together.

    Attributes
    ----------
    words : str
        "A", "B" and "C" are motifs, "a" and "b" near-motifs.
    ordered : bool
        Whether the first two words come in this order; all others are anywhere.
    gap : int, optional
        How many characters lie between the first two words, which then come in this order.
    """

    words: str
    ordered: bool = False
    gap: int | None = None


@dataclass(frozen=True)
class Grammar:
    """When a sequence is a positive, and what is planted in positives and in negatives.

    Attributes
    ----------
    name : str
    rule : str
        As a sentence.
    positives, negatives : tuple of Arrangement
        Each as frequent as the others.
    """

    name: Rule
    rule: str
    positives: tuple[Arrangement, ...]
    negatives: tuple[Arrangement, ...]

    def holds(self, a: Sequence[int], b: Sequence[int]) -> bool:
        """Return whether a sequence with A and with B at these starts is a positive."""
        if self.name == "single":
            return bool(a)
        if self.name == "or":
            return bool(a or b)
        if self.name == "and":
            return bool(a and b)
        gaps = [later - earlier - WIDTH for earlier, later in product(a, b)]
        return any(gap >= 0 for gap in gaps) if self.name == "order" else RIGHT_GAP in gaps


GRAMMARS: MappingProxyType[Rule, Grammar] = MappingProxyType(
    {
        one.name: one
        for one in (
            Grammar(
                "single",
                "A is there.",
                (Arrangement("AaC"),),
                (Arrangement("aaC"),),
            ),
            Grammar(
                "and",
                "A and B are there.",
                (Arrangement("ABabC"),),
                (Arrangement("AabbC"), Arrangement("BaabC"), Arrangement("aabbC")),
            ),
            Grammar(
                "or",
                "A or B is there, or both.",
                (Arrangement("AabbC"), Arrangement("BaabC"), Arrangement("ABabC")),
                (Arrangement("aabbC"),),
            ),
            Grammar(
                "order",
                "A is there, and B somewhere after it.",
                (Arrangement("ABabC", ordered=True),),
                (Arrangement("BAabC", ordered=True),),
            ),
            Grammar(
                "spacing",
                f"A is there, and B {RIGHT_GAP} characters after its end.",
                (Arrangement("ABabC", gap=RIGHT_GAP),),
                (
                    *(Arrangement("ABabC", gap=gap) for gap in WRONG_GAPS),
                    Arrangement("BAabC", gap=RIGHT_GAP),
                ),
            ),
        )
    }
)


class PlantedSequences(NamedTuple):
    """Sequences with labels, and where the words are.

    Attributes
    ----------
    X : torch.Tensor, int8, shape (rows, 4, positions)
        One-hot.
    y : torch.Tensor, float32, shape (rows,)
        1 for positives, which are every other row, from the first.
    motifs : torch.Tensor of bool, shape (rows, positions)
        The motifs that make a positive one; none in a negative.
    decoys : torch.Tensor of bool, shape (rows, positions)
        All other words: near-motifs, the motif that no grammar reads, and in negatives motifs that are not enough.
    """

    X: Tensor
    y: Tensor
    motifs: Tensor
    decoys: Tensor


def plant(grammar: Grammar, n: int, length: int = 120, seed: int = 0) -> PlantedSequences:
    """Return sequences of a grammar.

    Letters between the words are drawn evenly, and again until neither A nor B is anywhere but where it was planted;
    so the label follows from the letters alone. No global random state is read or changed.

    Parameters
    ----------
    grammar : Grammar
    n : int
        The number of sequences, half of them positives.
    length : int
        Positions per sequence.
    seed : int
        The seed of all draws.

    Raises
    ------
    InputError
        If `n` is odd or there is no room for the words.

    Examples
    --------
    >>> from seqlight import characters
    >>> from seqlight.studies.suites.planted_grammars import GRAMMARS, plant
    >>> data = plant(GRAMMARS["single"], 2, length=40)
    >>> characters(data.X[0][:, data.motifs[0]])
    'TGACTCAT'
    """
    needed = max(int(_piece_widths(one).sum()) for one in (*grammar.positives, *grammar.negatives))
    if n < 2 or n % 2:
        raise InputError(f"n is {n}: expected an even number of at least 2, half of it positives.")
    if length < needed:
        raise InputError(f"length is {length}: expected at least {needed}, which the words of {grammar.name!r} take.")
    stream = np.random.RandomState([seed, *grammar.name.encode()])
    codes = stream.randint(4, size=(n, length))
    kinds = np.zeros((n, length), dtype=np.int8)
    for first, arrangements in enumerate((grammar.positives, grammar.negatives)):
        rows = np.arange(first, n, 2)
        chosen = stream.randint(len(arrangements), size=len(rows))
        for i, arrangement in enumerate(arrangements):
            _plant_words(codes, kinds, rows[chosen == i], arrangement, is_positive=not first, stream=stream)
    _redraw_accidents(codes, kinds, stream)
    X = torch.nn.functional.one_hot(torch.from_numpy(codes), 4).to(torch.int8).transpose(1, 2).contiguous()
    y = torch.zeros(n)
    y[::2] = 1
    return PlantedSequences(X, y, torch.from_numpy(kinds == MATTERS), torch.from_numpy(kinds >= DECOY))


# What is at a position: background, a motif that matters, a motif that does not, another decoy.
BACKGROUND, MATTERS, DECOY, OTHER_DECOY = range(4)


def _piece_widths(arrangement: Arrangement) -> NDArray[np.int64]:
    """Return the widths of what is placed: a word and a character after it, so that no two words touch."""
    words, gap = len(arrangement.words), arrangement.gap
    if gap is None:
        return np.full(words, WIDTH + 1)
    # The first two words and what is between them are placed as one.
    return np.array([2 * WIDTH + gap + 1, *[WIDTH + 1] * (words - 2)])


def _plant_words(
    codes: NDArray[np.int64],
    kinds: NDArray[np.int8],
    rows: NDArray[np.int64],
    arrangement: Arrangement,
    *,
    is_positive: bool,
    stream: np.random.RandomState,
) -> None:
    """Write the words of an arrangement into these rows."""
    starts = _places(len(rows), codes.shape[1], arrangement, stream)
    for word, start in zip(arrangement.words, starts.T, strict=True):
        columns = start[:, None] + np.arange(WIDTH)
        codes[rows[:, None], columns] = _spell(word, len(rows), stream)
        motif_kind = MATTERS if is_positive else DECOY
        kinds[rows[:, None], columns] = motif_kind if word in "AB" else OTHER_DECOY


def _places(n: int, length: int, arrangement: Arrangement, stream: np.random.RandomState) -> NDArray[np.int64]:
    """Return starts (n, words) of words that do not overlap: random cuts of the free length, in random order."""
    widths, gap = _piece_widths(arrangement), arrangement.gap
    cuts = np.sort(stream.randint(0, length - widths.sum() + 1, size=(n, len(widths))), axis=1)
    order = np.argsort(stream.random_sample((n, len(widths))), axis=1)
    ordered = widths[order]
    starts = np.empty((n, len(widths)), dtype=np.int64)
    np.put_along_axis(starts, order, cuts + np.cumsum(ordered, axis=1) - ordered, axis=1)
    if gap is not None:
        return np.concatenate([starts[:, :1], starts[:, :1] + WIDTH + gap, starts[:, 1:]], axis=1)
    if arrangement.ordered:
        starts[:, :2].sort(axis=1)
    return starts


def _spell(word: str, n: int, stream: np.random.RandomState) -> NDArray[np.int64]:
    """Return `n` copies of a motif, or spellings of a near-motif; shape (n, width)."""
    motif = np.array([_LETTERS.index(letter) for letter in MOTIFS[word.upper()]])
    spelled = np.tile(motif, (n, 1))
    if word.islower():
        changed = np.argsort(stream.random_sample((n, WIDTH)), axis=1)[:, :CHANGED]
        rows = np.arange(n)[:, None]
        spelled[rows, changed] = (spelled[rows, changed] + stream.randint(1, 4, size=changed.shape)) % 4
    return spelled


def _redraw_accidents(codes: NDArray[np.int64], kinds: NDArray[np.int8], stream: np.random.RandomState) -> None:
    """Draw the background of a row again while A or B is anywhere but where it was planted."""
    planted = np.isin(kinds, (MATTERS, DECOY))
    wrong = np.arange(len(codes))
    while len(wrong):
        bad = np.zeros(len(wrong), dtype=bool)
        for motif in "AB":
            found = occurrences(codes[wrong], motif)
            # No two words touch, so that such a window is one word.
            inside = np.lib.stride_tricks.sliding_window_view(planted[wrong], WIDTH, axis=1).all(axis=2)
            bad |= (found & ~inside).any(axis=1)
        wrong = wrong[bad]
        drawn = stream.randint(4, size=(len(wrong), codes.shape[1]))
        codes[wrong] = np.where(kinds[wrong] == BACKGROUND, drawn, codes[wrong])


def occurrences(codes: NDArray[np.int64], motif: str) -> NDArray[np.bool_]:
    """Return where a motif begins, shape (rows, positions - width + 1)."""
    spelled = np.array([_LETTERS.index(letter) for letter in MOTIFS[motif]])
    windows = np.lib.stride_tricks.sliding_window_view(codes, WIDTH, axis=1)
    return np.asarray((windows == spelled).all(axis=2))
