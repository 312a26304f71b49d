"""The mode of a run that explains nothing: it makes each call with the fastest kernel, and looks for mixed rows."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from seqlight.attribution.engine.policy import CallPolicy
from seqlight.prediction.module_names import describe_current_module

# What takes some of the rows, or of their numbers, as loops over rows and targets do.
_INDEXING = frozenset(
    """
    __getitem__ select narrow index_select masked_select gather take take_along_dim unbind chunk split __iter__ squeeze
    """.split()
)


class KernelMode(TorchFunctionMode):
    """Makes each call with the fastest kernel there is.

    Parameters
    ----------
    model : torch.nn.Module
        Used for the names of its modules.
    policy : CallPolicy
    rows : int
        The number of rows of the batch.

    Attributes
    ----------
    reduction : str
        The first call that may have reduced a tensor over the rows, such as ``h.max()``, and its module; else empty.
        Its result may cancel, as in ``softmax(h - h.max())``, so that outputs do not show it.
    """

    def __init__(self, model: nn.Module, policy: CallPolicy, rows: int) -> None:
        super().__init__()
        self.model, self.policy, self.rows, self.reduction = model, policy, rows, ""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        entry = self.policy.rules.get(func)
        y = (func if entry is None else self.policy.kernel(entry, func))(*args, **(kwargs or {}))
        if self.rows > 1 and not self.reduction and args and isinstance(args[0], Tensor):
            name, found = getattr(func, "__name__", "an operation"), y[0] if isinstance(y, tuple) and y else y
            if isinstance(found, Tensor) and self._loses_rows(args[0], found) and name not in _INDEXING:
                self.reduction = f"{name}{describe_current_module(self.model)}"
        return y

    def _loses_rows(self, x: Tensor, y: Tensor) -> bool:
        if not y.is_floating_point() or y.numel() >= x.numel() or y.shape[:1] == x.shape[:1] == (self.rows,):
            return False
        return y.shape.count(self.rows) < x.shape.count(self.rows)
