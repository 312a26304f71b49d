"""What shap's DeepExplainer treats wrongly in a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from seqlight.studies.implementations.implementation import Suspect
from seqlight.studies.implementations.suspects import faults
from seqlight.studies.implementations.suspects.find_suspects import find_suspects
from seqlight.studies.implementations.suspects.rule_table import RuleTable

if TYPE_CHECKING:
    import pandas as pd

# The handlers that leave the gradient as it is.
LINEAR = ("passthrough", "linear_1d")


def find_shap_suspects(model: nn.Module, operations: pd.DataFrame) -> list[Suspect]:
    """Return suspects of the installed version of shap, by its own table of the names of classes."""
    from shap.explainers._deep.deep_pytorch import op_handler

    names = frozenset(name for name, handler in op_handler.items() if handler.__name__ not in LINEAR)
    table = RuleTable(
        title="shap",
        names=names - {"Softmax"},
        explains=lambda module: type(module).__name__ in names and not list(module.children()),
        hooks=lambda module: not list(module.children()),
        how_to_add='op_handler["{name}"] = op_handler["ReLU"], from shap.explainers._deep.deep_pytorch',
    )
    return find_suspects(
        table,
        model,
        operations,
        raising=(faults.dilated_windows,),
        silent=(faults.reused_and_overwritten, faults.overlapping_windows),
        doubtful=(faults.taken_as_elementwise,),
        writes_are_refused=True,
    )
