"""Basenji 2 (Kelley and others 2018, 2020): a tower of convolutions, dilated residual blocks, predictions for bins."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from seqlight.studies.suites.architectures.architecture import Architecture, Labels


class ConvBlock(nn.Module):
    """GELU, convolution, batch normalisation, and max pooling if there is one."""

    def __init__(self, inputs: int, outputs: int, width: int, dilation: int = 1, pool: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, width, padding="same", dilation=dilation, bias=False)
        self.norm = nn.BatchNorm1d(outputs, eps=1e-3)
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        """Return channels; shape (rows, channels, positions)."""
        x = self.norm(self.conv(F.gelu(x)))
        return F.max_pool1d(x, self.pool) if self.pool > 1 else x


class DilatedResidual(nn.Module):
    """A narrow dilated convolution and a wide one of width 1, added to the input."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.narrow = ConvBlock(channels, channels // 2, 3, dilation)
        self.wide = ConvBlock(channels // 2, channels, 1)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Return channels; shape (rows, channels, positions)."""
        y: Tensor = self.dropout(self.wide(self.narrow(x)))
        return x + y


class Basenji(nn.Module):
    """The output is a rate for each bin and track; shape (rows, bins, tracks)."""

    def __init__(self, channels: int = 24, tracks: int = 2, crop: int = 2) -> None:
        super().__init__()
        self.stem = ConvBlock(4, channels, 15, pool=2)
        self.tower = nn.ModuleList([ConvBlock(channels, channels, 5, pool=2) for _ in range(2)])
        self.dilated = nn.ModuleList([DilatedResidual(channels, dilation) for dilation in (1, 2, 4)])
        self.last = ConvBlock(channels, 32, 1)
        self.head, self.crop = nn.Linear(32, tracks), crop

    def forward(self, x: Tensor) -> Tensor:
        """Return rates."""
        x = self.stem(x)
        for block in [*self.tower, *self.dilated]:
            x = block(x)
        x = F.gelu(self.last(x[:, :, self.crop : -self.crop]))
        return F.softplus(self.head(x.permute(0, 2, 1)))


class TotalRate(nn.Module):
    """The sum of the rates of all bins, for each track."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Return totals; shape (rows, tracks)."""
        rates: Tensor = self.model(x)
        return rates.sum(dim=1)


def poisson_loss(outputs: Tensor, labels: Labels) -> Tensor:
    """Return the Poisson loss of rates of shape (rows, bins, tracks), with 1 in each bin of a positive."""
    target = labels.y[:, None, None].expand_as(outputs)
    return F.poisson_nll_loss(outputs, target, log_input=False)


ARCHITECTURE = Architecture(
    "Basenji",
    Basenji,
    "after seqnn of calico/basenji and its ports to PyTorch, fewer channels and layers",
    poisson_loss,
    TotalRate,
)
