"""SpliceAI (Jaganathan and others 2019): residual blocks of wide, dilated convolutions, a class for each position."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlight.studies.suites.architectures.architecture import Architecture, Labels


class ResBlock(nn.Module):
    """Batch normalisation, ``torch.relu`` and convolution, twice, added to the input."""

    def __init__(self, channels: int, width: int, dilation: int) -> None:
        super().__init__()
        padding = dilation * (width - 1) // 2
        self.bn1, self.bn2 = nn.BatchNorm1d(channels), nn.BatchNorm1d(channels)
        self.conv1 = nn.Conv1d(channels, channels, width, dilation=dilation, padding=padding)
        self.conv2 = nn.Conv1d(channels, channels, width, dilation=dilation, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        """Return channels; shape (rows, channels, positions)."""
        out = self.conv1(torch.relu(self.bn1(x)))
        out = self.conv2(torch.relu(self.bn2(out)))
        found: Tensor = out + x
        return found


class SpliceAI(nn.Module):
    """The output is the probability of each class at each position; shape (rows, classes, positions)."""

    def __init__(self, channels: int = 16, crop: int = 10) -> None:
        super().__init__()
        widths, dilations = (11, 11, 5, 5), (1, 1, 4, 4)
        self.conv1, self.skip = nn.Conv1d(4, channels, 1), nn.Conv1d(channels, channels, 1)
        self.resblocks = nn.ModuleList([ResBlock(channels, w, d) for w, d in zip(widths, dilations, strict=True)])
        self.convs = nn.ModuleList([nn.Conv1d(channels, channels, 1) for _ in range(2)])
        self.conv_last, self.crop = nn.Conv1d(channels, 3, 1), crop

    def forward(self, x: Tensor) -> Tensor:
        """Return probabilities."""
        conv = self.conv1(x)
        skip = self.skip(conv)
        for i, block in enumerate(self.resblocks):
            conv = block(conv)
            if i % 2:
                skip = skip + self.convs[i // 2](conv)
        skip = F.pad(skip, (-self.crop, -self.crop))
        return F.softmax(self.conv_last(skip), dim=1)


class ExpectedSites(nn.Module):
    """How many positions are expected to be in any class but the first."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Return sums of probabilities; shape (rows, 1)."""
        probabilities: Tensor = self.model(x)
        return (1 - probabilities[:, 0]).sum(dim=-1, keepdim=True)


def position_loss(outputs: Tensor, labels: Labels) -> Tensor:
    """Return the cross-entropy of the motif at each position."""
    trim = (labels.sites.shape[1] - outputs.shape[-1]) // 2
    return F.nll_loss(torch.log(outputs + 1e-9), labels.sites[:, trim:-trim])


ARCHITECTURE = Architecture(
    "SpliceAI",
    SpliceAI,
    "after boxiangliu/spliceAI-pytorch, fewer channels and layers",
    position_loss,
    ExpectedSites,
    rate=1e-2,
)
