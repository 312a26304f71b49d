"""An operation of the table of an audit, with the module that calls it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    import pandas as pd

# What the audit says of operations that no gradient sees as they are.
NOT_SEEN = ("hidden", "course", "unseen", "not finite")


@dataclass(frozen=True)
class AuditedOperation:
    """An operation that a module of a model calls.

    Attributes
    ----------
    name : str
        As :func:`seqlight.audit` calls it: "relu", "max_pool1d"; or "the output" and the like.
    path : str
        Of the module that calls it, "" for the model itself.
    module : torch.nn.Module
        That module.
    treatment : str
        By which rule :func:`seqlight.audit` found it explained.
    note : str
        What :func:`seqlight.audit` says to do about it.
    """

    name: str
    path: str
    module: nn.Module
    treatment: str
    note: str = ""

    @property
    def is_seen(self) -> bool:
        """Whether gradients see what the operation does with what depends on the sequence."""
        return self.treatment not in NOT_SEEN and not self.name.startswith("the ")

    @property
    def belongs_to_torch(self) -> bool:
        """Whether the module is one of PyTorch that does nothing else, so that its class is the name to use."""
        of_torch = type(self.module).__module__.startswith("torch.nn.")
        return of_torch and (isinstance(self.module, nn.MultiheadAttention) or not list(self.module.children()))

    @property
    def class_name(self) -> str:
        """The class of the module."""
        return type(self.module).__name__


def read_operations(model: nn.Module, table: pd.DataFrame) -> list[AuditedOperation]:
    """Return the operations of a table that are not linear, each once.

    Parameters
    ----------
    model : torch.nn.Module
    table : pandas.DataFrame
        That of :func:`seqlight.audit`.

    Examples
    --------
    >>> import pandas as pd
    >>> model = nn.Sequential(nn.Conv1d(4, 2, 3), nn.ReLU())
    >>> row = {"operation": "relu", "module": "1 (ReLU)", "treatment": "rescale", "note": ""}
    >>> [one.path for one in read_operations(model, pd.DataFrame([row]))]
    ['1']
    """
    modules = dict(model.named_modules())
    found: dict[tuple[str, str], AuditedOperation] = {}
    for name, module, treatment, note in table[["operation", "module", "treatment", "note"]].itertuples(index=False):
        # "trunk.1 (ReLU)", or "" outside all modules.
        path = module.rpartition("(")[0].strip()
        if path in modules and treatment != "linear":
            found.setdefault((name, path), AuditedOperation(name, path, modules[path], treatment, note))
    return list(found.values())
