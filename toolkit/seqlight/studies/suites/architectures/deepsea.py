"""DeepSEA (Zhou and Troyanskaya 2015), which bounds its weights in each forward."""

from __future__ import annotations

from torch import Tensor, nn

from seqlight.studies.suites.architectures.architecture import LENGTH, Architecture, probability_loss


class DeepSEA(nn.Module):
    """Convolutions with in-place ReLU, max pooling and batch normalisation, and a classifier that ends in a sigmoid."""

    def __init__(self, window_size: int = LENGTH, channels: tuple[int, int, int] = (32, 32, 48)) -> None:
        super().__init__()
        one, two, three = channels
        self.conv_net = nn.Sequential(
            nn.Conv1d(4, one, kernel_size=8),
            nn.ReLU(inplace=True),
            nn.MaxPool1d(kernel_size=2, stride=2),
            nn.BatchNorm1d(one),
            nn.Conv1d(one, two, kernel_size=8),
            nn.ReLU(inplace=True),
            nn.MaxPool1d(kernel_size=2, stride=2),
            nn.BatchNorm1d(two),
            nn.Dropout(p=0.2),
            nn.Conv1d(two, three, kernel_size=8),
            nn.ReLU(inplace=True),
            nn.BatchNorm1d(three),
            nn.Dropout(p=0.5),
        )
        self.n_features = three * (((window_size - 7) // 2 - 7) // 2 - 7)
        self.classifier = nn.Sequential(
            nn.Linear(self.n_features, 24),
            nn.ReLU(inplace=True),
            nn.BatchNorm1d(24),
            nn.Linear(24, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return a probability for each task; shape (rows, tasks)."""
        for layer in [*self.conv_net.children(), *self.classifier.children()]:
            if isinstance(layer, nn.Conv1d | nn.Linear):
                layer.weight.data.renorm_(2, 0, 0.9)
        features = self.conv_net(x)
        found: Tensor = self.classifier(features.view(features.size(0), self.n_features))
        return found


ARCHITECTURE = Architecture(
    "DeepSEA",
    DeepSEA,
    "after models/deepsea.py of FunctionLab/selene, fewer channels, pools of 2",
    probability_loss,
    epochs=8,
    rate=5e-3,
)
