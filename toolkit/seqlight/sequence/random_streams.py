"""Random numbers, all from the Mersenne Twister of ``numpy.random.RandomState``.

The printed results of the tutorials fix the generator and the order of draws. Without a seed, a fresh one comes from
the operating system, so that no global generator advances.
"""

from __future__ import annotations

import secrets

import numpy as np

from seqlight.errors import InputError

RandomSource = int | np.random.RandomState | None
LARGEST_SEED = 2**32 - 1


def random_state(source: RandomSource) -> np.random.RandomState:
    """Return the stream for `source`: a seed, a stream to continue, or None for a fresh one.

    Raises
    ------
    InputError
        If `source` is none of these, or a seed outside 0 to 2**32 - 1.
    """
    if isinstance(source, np.random.RandomState):
        return source
    return np.random.RandomState(seed(source))


def seed(source: object) -> int:
    """Return an integer seed: `source` itself, or one from the operating system for None."""
    if source is None:
        return secrets.randbelow(LARGEST_SEED + 1)
    if isinstance(source, bool) or not isinstance(source, int | np.integer):
        raise InputError(f"random_state is {source!r}: expected a whole number or None.")
    if not 0 <= source <= LARGEST_SEED:
        raise InputError(f"random_state is {source}: expected 0 to {LARGEST_SEED}.")
    return int(source)
