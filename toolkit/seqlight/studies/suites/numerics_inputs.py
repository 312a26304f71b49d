"""What the study of numerics explains: small untrained networks, sequences and references."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from seqlight.attribution.references import References
from seqlight.sequence.one_hot import random_one_hot
from seqlight.sequence.shuffles import dinucleotide_shuffle
from seqlight.studies.suites.small_networks import AttentionNetwork, convolutional_network

LENGTH, ROWS, REFERENCES = 120, 10, 5


def smooth_network(length: int) -> nn.Module:
    """Return a network with GELU and layer normalization, without a max pooling."""
    return nn.Sequential(
        nn.Conv1d(4, 24, 9, padding=4),
        nn.GELU(),
        nn.LayerNorm(length),
        nn.Conv1d(24, 24, 9, stride=4),
        nn.GELU(),
        nn.Flatten(),
        nn.LazyLinear(1),
    )


def coarse_network(length: int) -> nn.Module:
    """Return the convolutional network with weights as a model in bfloat16 has them, so that sums can be equal."""
    return convolutional_network(length).bfloat16().float()


NETWORKS: Mapping[str, Callable[[int], nn.Module]] = {
    "convolutional": convolutional_network,
    "convolutional, coarse weights": coarse_network,
    "GELU, LayerNorm": smooth_network,
    "attention": AttentionNetwork,
}


class Inputs(NamedTuple):
    """A model in float64, one-hot sequences, and references."""

    model: nn.Module
    X: Tensor
    references: Tensor


def make_inputs(make_network: Callable[[int], nn.Module], rows: int = ROWS, references: int = REFERENCES) -> Inputs:
    """Return an untrained network, always the same one, with sequences and dinucleotide shuffles of them."""
    X = random_one_hot((rows, 4, LENGTH), random_state=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = make_network(LENGTH)
        model(X[:1].float())
    model = model.double().eval().requires_grad_(False)
    return Inputs(model, X, References(dinucleotide_shuffle, X, references, 0).draw(0, rows))
