"""Tracks of numbers along sequences with sites at known places: noise with sites, and attributions of networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqlight.attribution.methods.deeplift import deep_lift_shap
from seqlight.datasets.ecoli import MOTIF_END, MOTIF_START, load_ecoli_starts
from seqlight.seqlets.recursive.control import shuffled_control
from seqlight.studies.suites.planted import held_out_positives, trained_network
from seqlight.studies.suites.small_networks import train_ecoli_network

SITE = 10
NO_SEQLETS = pd.DataFrame({"example_idx": [], "start": [], "end": [], "attribution": []}, dtype=np.int64)

Floats = NDArray[np.float64]
Noise = Callable[[np.random.RandomState, tuple[int, int]], Floats]


class Track(NamedTuple):
    """Values, as many or more of the kind without sites, and the sites.

    Attributes
    ----------
    values : numpy.ndarray, shape (rows, positions)
    control : numpy.ndarray, shape (some times the rows, positions)
    known : pandas.DataFrame
        Columns example_idx, start and end.
    """

    values: Floats
    control: Floats
    known: pd.DataFrame


def laplace_noise(rng: np.random.RandomState, shape: tuple[int, int]) -> Floats:
    """Return Laplace noise."""
    return rng.laplace(size=shape)


def heavy_tailed_noise(rng: np.random.RandomState, shape: tuple[int, int]) -> Floats:
    """Return Student's t with 2.5 degrees of freedom."""
    return np.asarray(rng.standard_t(2.5, size=shape))


def correlated_noise(rng: np.random.RandomState, shape: tuple[int, int]) -> Floats:
    """Return means of five neighbours in Laplace noise, scaled to its variance."""
    wide = rng.laplace(size=(shape[0], shape[1] + 4))
    total = np.sum([wide[:, i : i + shape[1]] for i in range(5)], axis=0)
    return np.asarray(total / np.sqrt(5))


def noise_of_unequal_scale(rng: np.random.RandomState, shape: tuple[int, int]) -> Floats:
    """Return Laplace noise, larger in some rows than in others."""
    return rng.laplace(size=shape) * np.exp(rng.normal(scale=0.7, size=(shape[0], 1)))


# Each with the height of sites in units of the noise, chosen so that some of them are found.
NOISES: dict[str, tuple[Noise, float]] = {
    "Laplace": (laplace_noise, 1),
    "heavy tails (Student's t, 2.5)": (heavy_tailed_noise, 5),
    "neighbours correlated (mean of 5)": (correlated_noise, 1.5),
    "rows of unlike scale": (noise_of_unequal_scale, 4),
}


def plant_sites(
    kind: tuple[Noise, float], seed: int, n_sites: int, shape: tuple[int, int] = (200, 300), controls: int = 1
) -> Track:
    """Return noise with `n_sites` sites of 10 positions, in different rows, at random places and heights.

    Examples
    --------
    >>> track = plant_sites(NOISES["Laplace"], seed=0, n_sites=2, shape=(4, 50))
    >>> track.values.shape, track.known["example_idx"].tolist()
    ((4, 50), [0, 2])
    """
    noise, height = kind
    rows, length = shape
    rng = np.random.RandomState(seed)
    values = noise(rng, shape)
    start = rng.randint(0, length - SITE, n_sites)
    places = np.arange(n_sites) * (rows // max(n_sites, 1))
    spread = float(np.median(np.abs(values))) / np.log(2)  # 1 for Laplace noise
    for row, at in zip(places, start, strict=True):
        values[row, at : at + SITE] += height * spread * rng.uniform(1, 4)
    known = pd.DataFrame({"example_idx": places, "start": start, "end": start + SITE})
    return Track(values, noise(rng, (controls * rows, length)), known)


def planted_track(rows: int, seed: int = 0) -> Track:
    """Return attributions of sequences with two motifs that both decide, by a network that has learned it."""
    data = held_out_positives("and", seed, rows)
    edges = np.diff(np.pad(data.motifs.numpy().astype(np.int8), ((0, 0), (1, 1))), axis=1)
    (row, start), (_, end) = np.nonzero(edges == 1), np.nonzero(edges == -1)
    known = pd.DataFrame({"example_idx": row, "start": start, "end": end})
    return _attribute(trained_network("and", "convolutional", seed), data.X, known, seed)


def ecoli_track(rows: int, seed: int = 0, epochs: int = 8) -> Track:
    """Return attributions of translation starts of Escherichia coli, by a network that has learned them.

    What is known is where a Shine-Dalgarno motif may be; not every gene has one.
    """
    data = load_ecoli_starts(seed=seed)
    model = train_ecoli_network(data.train, seed, epochs)
    known = pd.DataFrame({"example_idx": range(rows), "start": MOTIF_START, "end": MOTIF_END})
    return _attribute(model, data.test.X[data.test.y > 0][:rows], known, seed)


def _attribute(model: nn.Module, X: Tensor, known: pd.DataFrame, seed: int) -> Track:
    values = torch.as_tensor(deep_lift_shap(model, X, random_state=seed)).sum(dim=1)
    control = shuffled_control(model, X, random_state=seed + 1000)
    return Track(values.double().numpy(), control.double().numpy(), known)
