"""Made-up genotypes with variants of known effect, and as many decoy variants that are permuted over individuals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

VARIANTS, CAUSAL, HERITABILITY = 200, 40, 0.25
# Frequencies of the counted allele, evenly on a logarithmic scale.
RAREST, COMMONEST = 0.02, 0.5


class Genotypes(NamedTuple):
    """Individuals with a trait.

    Attributes
    ----------
    X : torch.Tensor, float32, shape (individuals, variants)
        How many copies of the counted allele, 0, 1 or 2; the second half of the variants are the decoys of the first.
    y : torch.Tensor, float32, shape (individuals,)
        The trait, with a variance of 1.
    effects : numpy.ndarray, shape (variants,)
        What a copy adds; 0 for most, and for all decoys.
    frequencies : numpy.ndarray, shape (variants,)
    """

    X: Tensor
    y: Tensor
    effects: NDArray[np.float64]
    frequencies: NDArray[np.float64]


def draw_genotypes(n: int, seed: int, equal: str = "variance") -> Genotypes:
    """Return `n` individuals; some variants, of any frequency, explain a quarter of the variance of the trait.

    Parameters
    ----------
    n, seed : int
    equal : "variance" or "effect"
        Whether each of them explains as much, so that rare ones have larger effects, or a copy of each adds as much.
    """
    stream = np.random.RandomState([seed, 3])
    frequencies = np.exp(stream.uniform(np.log(RAREST), np.log(COMMONEST), size=VARIANTS))
    real = stream.binomial(2, frequencies, size=(n, VARIANTS))
    decoys = np.stack([stream.permutation(one) for one in real.T], axis=1)
    effects = np.zeros(2 * VARIANTS)
    chosen = stream.choice(VARIANTS, CAUSAL, replace=False)
    spread = np.sqrt(2 * frequencies * (1 - frequencies))
    effects[chosen] = stream.choice([-1.0, 1.0], CAUSAL)
    if equal == "variance":
        effects[chosen] /= spread[chosen]
    effects *= np.sqrt(HERITABILITY / (effects[:VARIANTS] ** 2 * spread**2).sum())
    X = np.concatenate([real, decoys], axis=1)
    y = X @ effects + np.sqrt(1 - HERITABILITY) * stream.standard_normal(n)
    return Genotypes(
        torch.from_numpy(X).float(),
        torch.from_numpy((y - y.mean()) / y.std()).float(),
        effects,
        np.concatenate([frequencies, frequencies]),
    )
