"""Sequences with words that change a quantity by a known effect, and as many decoy words that do not.

The design is that of Reynolds and Pan (2025, PLOS Computational Biology 21(12): e1013784) for genotypes, with words in
the place of variants: a word has an additive, dominant, recessive or epistatic effect, and its decoy is its letters in
another order, planted as often.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

WIDTH, LENGTH = 8, 120
EFFECTS = (0.25, 0.5, 1.0)
KINDS = ("additive", "dominant", "recessive", "epistatic", "null")
# Units with and without effect that a sequence has, each; and the standard deviation of what no word explains.
UNITS, NOISE = 2, 0.4
_LEAST_DISTANCE = 4


@dataclass(frozen=True)
class Unit:
    """A word, or the two words of an epistatic effect, with its decoy."""

    kind: str
    effect: float
    words: tuple[tuple[int, ...], ...]
    decoys: tuple[tuple[int, ...], ...]

    def value(self, counts: tuple[int, int]) -> float:
        """Return what it adds to the quantity, with so many copies of its first and of its second word."""
        first, second = counts
        present = {
            "additive": first,
            "dominant": min(first, 1),
            "recessive": int(first == 2),
            "epistatic": min(first, second),
            "null": 0,
        }[self.kind]
        return self.effect * present


class SpikeIns(NamedTuple):
    """Sequences with a quantity, and a table of their sites.

    `sites` has a row for each word in a sequence: the sequence, the start, the unit, whether it is a decoy, and whether
    it matters: a word without which the quantity, or with its copy the quantity, would be another.
    """

    X: Tensor
    y: Tensor
    sites: NDArray[np.int64]


ROW, START, UNIT, DECOY, MATTERS = range(5)


def make_units(seed: int) -> list[Unit]:
    """Return units of each kind and effect, their signs in turn; no word is like another or a shift of it."""
    stream, taken = np.random.RandomState([seed, 1]), []

    def draw() -> tuple[tuple[int, ...], tuple[int, ...]]:
        while True:
            word = stream.randint(4, size=WIDTH)
            decoy = stream.permutation(word)
            if _is_new(word, taken) and _is_new(decoy, [*taken, tuple(word)]):
                taken.extend([tuple(word), tuple(decoy)])
                return tuple(word.tolist()), tuple(decoy.tolist())

    units = []
    for kind in KINDS:
        for i, effect in enumerate(EFFECTS):
            pairs = [draw() for _ in range(2 if kind == "epistatic" else 1)]
            sign = 1 if (i + KINDS.index(kind)) % 2 else -1
            size = 0.0 if kind == "null" else effect * sign
            units.append(Unit(kind, size, tuple(word for word, _ in pairs), tuple(decoy for _, decoy in pairs)))
    return units


def _is_new(word: NDArray[np.int64], taken: list[tuple[int, ...]]) -> bool:
    others = np.array(taken).reshape(-1, WIDTH)
    for shift in range(-2, 3):
        a, b = word[max(shift, 0) : WIDTH + min(shift, 0)], others[:, max(-shift, 0) : WIDTH - max(shift, 0)]
        if ((a != b).sum(axis=1) < _LEAST_DISTANCE - abs(shift)).any():
            return False
    return len(set(word.tolist())) > 2


def draw_sequences(units: list[Unit], n: int, seed: int) -> SpikeIns:
    """Return `n` sequences, each with the words of a few units and with the decoys of a few others."""
    stream = np.random.RandomState([seed, 2])
    codes, y, sites = stream.randint(4, size=(n, LENGTH)), np.zeros(n), []
    for row in range(n):
        planted = []
        for is_decoy in (0, 1):
            for number in stream.choice(len(units), UNITS, replace=False):
                unit, counts = units[number], _draw_counts(units[number], stream)
                value = 0.0 if is_decoy else unit.value(counts)
                y[row] += value
                words = unit.decoys if is_decoy else unit.words
                for word, count in zip(words, counts, strict=False):
                    planted += [(word, number, is_decoy, int(value != 0))] * count
        starts = _places(len(planted), stream)
        for start, (word, *facts) in zip(starts, planted, strict=True):
            codes[row, start : start + WIDTH] = word
            sites.append((row, start, *facts))
    y += NOISE * stream.standard_normal(n)
    X = torch.nn.functional.one_hot(torch.from_numpy(codes), 4).to(torch.int8).transpose(1, 2).contiguous()
    return SpikeIns(X, torch.from_numpy(y).float(), np.array(sites))


def _draw_counts(unit: Unit, stream: np.random.RandomState) -> tuple[int, int]:
    """Return copies of the first and of the second word: the effect is all there half of the times."""
    complete = bool(stream.randint(2))
    if unit.kind == "epistatic":
        return (1, 1) if complete else ((1, 0) if stream.randint(2) else (0, 1))
    return (2, 0) if complete else (1, 0)


def _places(n: int, stream: np.random.RandomState) -> NDArray[np.int64]:
    """Return starts of `n` words that do not touch, in random order."""
    free = LENGTH - n * (WIDTH + 1)
    cuts = np.sort(stream.randint(0, free + 1, size=n))
    return np.asarray(stream.permutation(cuts + np.arange(n) * (WIDTH + 1)))
