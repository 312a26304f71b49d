"""ChromBPNet (Pampari and others 2024): a model of accessibility and a frozen one of the enzyme's bias."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlight.studies.suites.architectures.architecture import Architecture
from seqlight.studies.suites.architectures.bpnet import BPNet, Counts, bpnet_loss


class ChromBPNet(nn.Module):
    """Profiles of the two models are added as logits, counts as counts."""

    def __init__(self, bias: nn.Module, accessibility: nn.Module) -> None:
        super().__init__()
        for parameter in bias.parameters():
            parameter.requires_grad = False
        self.bias, self.accessibility = bias, accessibility

    def forward(self, X: Tensor) -> tuple[Tensor, Tensor]:
        """Return the profile as logits, and the log of the counts."""
        profile, counts = self.accessibility(X)
        bias_profile, bias_counts = self.bias(X)
        return profile + bias_profile, torch.logsumexp(torch.stack([counts, bias_counts]), dim=0)


def make() -> nn.Module:
    """Return one whose bias model is smaller than the other, and random."""
    return ChromBPNet(BPNet(n_filters=8, n_layers=2), BPNet())


ARCHITECTURE = Architecture(
    "ChromBPNet",
    make,
    "after bpnetlite/chrombpnet.py of jmschrei/bpnet-lite, fewer filters and layers, the bias model as initialised",
    bpnet_loss,
    Counts,
    rate=1e-2,
)
