"""scBasset (Yuan and Kelley 2022), whose layers share one GELU."""

from __future__ import annotations

from torch import Tensor, nn

from seqlight.studies.suites.architectures.architecture import LENGTH, Architecture

# In the public code it is the default of an argument, so that all layers get the same module.
SHARED = nn.GELU()


class ConvLayer(nn.Module):
    """Convolution, batch normalisation, max pooling, and then the activation."""

    def __init__(self, inputs: int, outputs: int, width: int, pool: int, activation_fn: nn.Module = SHARED) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, width, padding=width // 2)
        self.batch_norm = nn.BatchNorm1d(outputs)
        self.pool, self.activation_fn, self.dropout = nn.MaxPool1d(pool), activation_fn, nn.Dropout(0.0)

    def forward(self, x: Tensor) -> Tensor:
        """Return channels; shape (rows, channels, positions)."""
        found: Tensor = self.activation_fn(self.pool(self.dropout(self.batch_norm(self.conv(x)))))
        return found


class ScBasset(nn.Module):
    """A tower of layers, a narrow linear layer, and a linear one to cells."""

    def __init__(self, length: int = LENGTH, filters: int = 24, bottleneck: int = 16, n_cells: int = 3) -> None:
        super().__init__()
        self.stem = ConvLayer(4, filters, 17, 3)
        self.tower = nn.Sequential(ConvLayer(filters, 28, 5, 2), ConvLayer(28, 32, 5, 2))
        self.pre_bottleneck = ConvLayer(32, 24, 1, 2)
        self.bottleneck = nn.Linear(24 * (length // 3 // 8), bottleneck)
        self.dropout, self.final = nn.Dropout(0.2), nn.Linear(bottleneck, n_cells)

    def forward(self, x: Tensor) -> Tensor:
        """Return a logit for each cell; shape (rows, cells)."""
        x = self.pre_bottleneck(self.tower(self.stem(x)))
        x = self.dropout(self.bottleneck(x.view(x.shape[0], -1)))
        found: Tensor = self.final(x)
        return found


ARCHITECTURE = Architecture("scBasset", ScBasset, "after macwiatrak/scBasset-pytorch, fewer channels", rate=1e-2)
