"""Permutations of a text that keep its letters, or its dinucleotides: listed, counted and drawn uniformly."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import numpy as np


def permutations(text: str) -> Iterator[str]:
    """Yield each distinct order of the letters of a text once, in the order of the alphabet.

    Examples
    --------
    >>> list(permutations("ABA"))
    ['AAB', 'ABA', 'BAA']
    """
    yield from _spell("", Counter(text), len(text))


def _spell(start: str, left: Counter[str], length: int) -> Iterator[str]:
    if len(start) == length:
        yield start
    for letter in sorted(letter for letter, count in left.items() if count):
        left[letter] -= 1
        yield from _spell(start + letter, left, length)
        left[letter] += 1


def count_permutations(text: str) -> int:
    """Return how many distinct orders the letters of a text have: the multinomial coefficient.

    Examples
    --------
    >>> count_permutations("ABA")
    3
    """
    return math.factorial(len(text)) // math.prod(map(math.factorial, Counter(text).values()))


def dinucleotide_permutations(text: str) -> Iterator[str]:
    """Yield each text with the same first letter and the same count of every pair of neighbours once.

    They are the Eulerian paths of the graph whose edges are the pairs; all of them end in the same letter.

    Examples
    --------
    >>> list(dinucleotide_permutations("ABACA"))
    ['ABACA', 'ACABA']
    """
    yield from _walk(text[:1], Counter(pairwise(text)), len(text))


def _walk(start: str, left: Counter[tuple[str, str]], length: int) -> Iterator[str]:
    if len(start) == length:
        yield start
    for pair in sorted(pair for pair, count in left.items() if count and pair[0] == start[-1]):
        left[pair] -= 1
        yield from _walk(start + pair[1], left, length)
        left[pair] += 1


def count_dinucleotide_permutations(text: str) -> int:
    """Return how many texts :func:`dinucleotide_permutations` yields, without listing them: the BEST theorem [1]_.

    References
    ----------
    .. [1] van Aardenne-Ehrenfest, T. and de Bruijn, N. G. (1951), Circuits and trees in oriented linear graphs,
       Simon Stevin 28, 203-217.

    Examples
    --------
    >>> count_dinucleotide_permutations("ACCCACGATGATA")
    72
    """
    letters = sorted(set(text))
    counts = np.zeros((len(letters), len(letters)), dtype=np.int64)
    for one, other in pairwise(map(letters.index, text)):
        counts[one, other] += 1
    orders = math.prod(math.factorial(count) for count in counts.ravel().tolist())
    # One more edge closes the path to a circuit, which passes it once.
    counts[letters.index(text[-1]), letters.index(text[0])] += 1
    exits = counts.sum(axis=1)
    laplacian = np.diag(exits) - counts
    trees = round(float(np.linalg.det(laplacian[1:, 1:].astype(np.float64))))
    return trees * math.prod(math.factorial(count - 1) for count in exits.tolist()) // orders


def last_exits(text: str) -> dict[str, str]:
    """Return, for each letter that is followed by another, the letter after its last such place.

    Examples
    --------
    >>> last_exits("ABACA")
    {'A': 'C', 'B': 'A', 'C': 'A'}
    """
    return dict(pairwise(text))


def draw_dinucleotide_permutation(text: str, stream: np.random.RandomState) -> str:
    """Return one of the :func:`dinucleotide_permutations` of a text, each with the same probability.

    Last exits are drawn, too, again and again until all of them lead to the last letter, as Altschul and Erickson [1]_
    do; then the other exits are put in random order.

    References
    ----------
    .. [1] Altschul, S. F. and Erickson, B. W. (1985), Significance of nucleotide sequence alignments,
       Molecular Biology and Evolution 2, 526-538.

    Examples
    --------
    >>> draw_dinucleotide_permutation("ABACA", np.random.RandomState(0)) in {"ABACA", "ACABA"}
    True
    """
    exits: dict[str, list[str]] = {}
    for one, other in pairwise(text):
        exits.setdefault(one, []).append(other)
    inner = sorted(set(exits) - {text[-1]})
    chosen = {letter: stream.randint(len(exits[letter])) for letter in inner}
    while not _lead_to(text[-1], {letter: exits[letter][place] for letter, place in chosen.items()}):
        chosen = {letter: stream.randint(len(exits[letter])) for letter in inner}
    left = {}
    for letter, others in exits.items():
        last = [others.pop(chosen[letter])] if letter in chosen else []
        # From the end, because a list gives its last entry first.
        left[letter] = last + [others[i] for i in stream.permutation(len(others))]
    spelled = text[0]
    while len(spelled) < len(text):
        spelled += left[spelled[-1]].pop()
    return spelled


def _lead_to(goal: str, exits: dict[str, str]) -> bool:
    for letter in exits:
        for _ in exits:
            letter = exits.get(letter, goal)
        if letter != goal:
            return False
    return True
