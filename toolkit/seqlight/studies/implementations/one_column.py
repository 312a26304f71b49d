"""A model with one column of the output of another, for implementations that cannot do without."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn


class OneColumn(nn.Module):
    """A model whose output is one column of that of another, shape (rows, 1).

    Its children are those of the other model, for an implementation that visits and cleans the children of what it is
    given.

    Parameters
    ----------
    model : torch.nn.Module
        Returns (rows, columns), or (rows,).
    target : int
        The column; not used for an output of shape (rows,).
    """

    def __init__(self, model: nn.Module, target: int = 0) -> None:
        super().__init__()
        self.model, self.target = model, target

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return one column of the output."""
        output: Tensor = self.model(*inputs)
        return output.reshape(-1, 1) if output.ndim < 2 else output[:, self.target].unsqueeze(1)

    def children(self) -> Iterator[nn.Module]:
        """Return the children of the other model, or the model itself if it has none."""
        found = list(self.model.children())
        return iter(found or [self.model])
