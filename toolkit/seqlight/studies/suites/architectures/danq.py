"""DanQ (Quang and Xie 2016): a convolution and a bidirectional LSTM; correct, and as a public model has it."""

from __future__ import annotations

from torch import Tensor, nn

from seqlight.studies.suites.architectures.architecture import LENGTH, Architecture, probability_loss


class DanQ(nn.Module):
    """The LSTM gets (rows, positions, channels), as ``batch_first=True`` wants."""

    def __init__(self, sequence_length: int = LENGTH, channels: int = 32, pool: int = 6) -> None:
        super().__init__()
        self.nnet = nn.Sequential(
            nn.Conv1d(4, channels, kernel_size=13),
            nn.ReLU(inplace=True),
            nn.MaxPool1d(kernel_size=pool, stride=pool),
            nn.Dropout(0.2),
        )
        self.bdlstm = nn.Sequential(nn.LSTM(channels, 16, num_layers=1, batch_first=True, bidirectional=True))
        self.n_features = 32 * ((sequence_length - 12) // pool)
        self.classifier = nn.Sequential(
            nn.Dropout(0.5),
            nn.Linear(self.n_features, 32),
            nn.ReLU(inplace=True),
            nn.Linear(32, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return a probability for each task; shape (rows, tasks)."""
        out, _ = self.bdlstm(self.nnet(x).transpose(1, 2))
        found: Tensor = self.classifier(out.contiguous().view(out.size(0), self.n_features))
        return found


class SeleneDanQ(DanQ):
    """The LSTM gets (positions, rows, channels), and reads along the batch.

    So what it says about a row depends on the other rows: with one row at a time it has nothing to read along.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return a probability for each task; shape (rows, tasks)."""
        out, _ = self.bdlstm(self.nnet(x).transpose(0, 1).transpose(0, 2))
        out = out.transpose(0, 1)
        found: Tensor = self.classifier(out.contiguous().view(out.size(0), self.n_features))
        return found


_SOURCE = "after models/danQ.py of FunctionLab/selene, fewer channels, a pool of 6"
ARCHITECTURE = Architecture("DanQ", DanQ, f"{_SOURCE}, rows first as its LSTM wants them", probability_loss, rate=1e-2)
SELENE = Architecture("DanQ of selene", SeleneDanQ, _SOURCE, probability_loss, epochs=8, rate=1e-2)
