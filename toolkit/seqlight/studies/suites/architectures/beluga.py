"""Beluga (Zhou and others 2018, ExPecto): two-dimensional convolutions of height 1, and functions as modules."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from seqlight.studies.suites.architectures.architecture import Architecture, probability_loss


class Lambda(nn.Sequential):
    """A function as a module, in the form in which models were converted from Lua."""

    def __init__(self, function: Callable[[Tensor], Tensor], *modules: nn.Module) -> None:
        super().__init__(*modules)
        self.lambda_func = function

    def forward(self, x: Tensor) -> Tensor:
        """Return the function of the input."""
        return self.lambda_func(x)


def flatten(x: Tensor) -> Tensor:
    """Return one row for each sequence."""
    return x.view(x.size(0), -1)


def add_row(x: Tensor) -> Tensor:
    """Return a matrix, also of a single row."""
    return x.view(1, -1) if x.dim() == 1 else x


class Beluga(nn.Module):
    """Pairs of convolutions with ReLU and max pooling, two linear layers, a sigmoid."""

    def __init__(self, channels: tuple[int, int, int] = (24, 24, 32)) -> None:
        super().__init__()
        one, two, three = channels
        self.model = nn.Sequential(
            nn.Sequential(
                nn.Conv2d(4, one, (1, 8)),
                nn.ReLU(),
                nn.Conv2d(one, one, (1, 8)),
                nn.ReLU(),
                nn.Dropout(0.05),
                nn.MaxPool2d((1, 4), (1, 4)),
                nn.Conv2d(one, two, (1, 4)),
                nn.ReLU(),
                nn.Conv2d(two, two, (1, 4)),
                nn.ReLU(),
                nn.Dropout(0.05),
                nn.MaxPool2d((1, 4), (1, 4)),
                nn.Conv2d(two, three, (1, 2)),
                nn.ReLU(),
                nn.Conv2d(three, three, (1, 1)),
                nn.ReLU(),
            ),
            nn.Sequential(
                nn.Dropout(0.05),
                Lambda(flatten),
                nn.Sequential(Lambda(add_row), nn.Linear(2 * three, 32)),
                nn.ReLU(),
                nn.Sequential(Lambda(add_row), nn.Linear(32, 1)),
            ),
            nn.Sigmoid(),
        )
        # PyTorch's defaults let the signal die out in so many layers without normalisation.
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Return a probability for each task; shape (rows, tasks)."""
        found: Tensor = self.model(x.unsqueeze(2))
        return found


ARCHITECTURE = Architecture(
    "Beluga",
    Beluga,
    "after the Beluga of ExPecto and kipoi, fewer channels, narrower, less dropout",
    probability_loss,
    epochs=10,
    rate=3e-3,
)
