"""BPNet (Avsec and others 2021): a profile and a total count, from dilated residual convolutions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlight.studies.suites.architectures.architecture import Architecture, Labels


class BPNet(nn.Module):
    """Outputs are a profile, shape (rows, strands, positions), and log counts, shape (rows, 1)."""

    def __init__(self, n_filters: int = 24, n_layers: int = 4, n_outputs: int = 1, trimming: int = 20) -> None:
        super().__init__()
        self.n_layers, self.trimming = n_layers, trimming
        self.iconv = nn.Conv1d(4, n_filters, kernel_size=21, padding=10)
        self.irelu = nn.ReLU()
        dilations = [2**i for i in range(1, n_layers + 1)]
        self.rconvs = nn.ModuleList([nn.Conv1d(n_filters, n_filters, 3, padding=d, dilation=d) for d in dilations])
        self.rrelus = nn.ModuleList([nn.ReLU() for _ in dilations])
        self.fconv = nn.Conv1d(n_filters, n_outputs, kernel_size=25, padding=12)
        self.linear = nn.Linear(n_filters, 1)

    def forward(self, X: Tensor) -> tuple[Tensor, Tensor]:
        """Return the profile as logits, and the log of the counts."""
        start, end = self.trimming, X.shape[2] - self.trimming
        X = self.irelu(self.iconv(X))
        for i in range(self.n_layers):
            X = torch.add(X, self.rrelus[i](self.rconvs[i](X)))
        profile = self.fconv(X)[:, :, start:end]
        X = torch.mean(X[:, :, start - 12 : end + 12], dim=2)
        return profile, self.linear(X).reshape(X.shape[0], 1)


class EarlyBPNet(BPNet):
    """As the first versions were written: an ``nn.ReLU()`` is made for each call."""

    def forward(self, X: Tensor) -> tuple[Tensor, Tensor]:
        """Return the profile as logits, and the log of the counts."""
        start, end = self.trimming, X.shape[2] - self.trimming
        X = nn.ReLU()(self.iconv(X))
        for i in range(self.n_layers):
            X = torch.add(X, nn.ReLU()(self.rconvs[i](X)))
        profile = self.fconv(X)[:, :, start:end]
        X = torch.mean(X[:, :, start - 12 : end + 12], dim=2)
        return profile, self.linear(X).reshape(X.shape[0], 1)


class Counts(nn.Module):
    """The log counts of a model with two outputs."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, X: Tensor) -> Tensor:
        """Return the log of the counts; shape (rows, 1)."""
        found: Tensor = self.model(X)[1]
        return found


class Profile(nn.Module):
    """The profile of a model with two outputs, as one number: the logits by their own probabilities."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, X: Tensor) -> Tensor:
        """Return the sum of centred logits times softmax; shape (rows, 1)."""
        logits: Tensor = self.model(X)[0].flatten(1)
        logits = logits - torch.mean(logits, dim=-1, keepdim=True)
        return (logits * torch.softmax(logits, dim=-1)).sum(dim=-1, keepdim=True)


def bpnet_loss(outputs: tuple[Tensor, Tensor], labels: Labels) -> Tensor:
    """Return the multinomial loss of profiles, with reads at the motifs of positives, and the squares of log counts."""
    profile, counts = outputs
    trim = (labels.sites.shape[1] - profile.shape[-1]) // 2
    reads = 0.1 + (labels.sites[:, trim:-trim] > 0).float()
    log_shares = torch.log_softmax(profile.flatten(1), dim=-1)
    return F.mse_loss(counts[:, 0], 3 * labels.y) - (log_shares * reads).mean()


_SOURCE = "after bpnetlite/bpnet.py of jmschrei/bpnet-lite, fewer filters and layers, no control track"
COUNTS = Architecture("BPNet, counts", BPNet, _SOURCE, bpnet_loss, Counts, rate=1e-2)
PROFILE = Architecture("BPNet, profile", BPNet, _SOURCE, bpnet_loss, Profile, rate=1e-2)
EARLY = Architecture("early BPNet", EarlyBPNet, f"{_SOURCE}, as in its first versions", bpnet_loss, Counts, rate=1e-2)
