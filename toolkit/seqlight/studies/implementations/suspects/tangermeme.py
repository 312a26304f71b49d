"""What tangermeme treats wrongly in a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from seqlight.studies.implementations.implementation import Suspect
from seqlight.studies.implementations.suspects import faults
from seqlight.studies.implementations.suspects.find_suspects import find_suspects
from seqlight.studies.implementations.suspects.rule_table import RuleTable

if TYPE_CHECKING:
    import pandas as pd


def find_tangermeme_suspects(model: nn.Module, operations: pd.DataFrame) -> list[Suspect]:
    """Return suspects of the installed version of tangermeme, by its own table of classes."""
    from tangermeme._deep_lift_utils import _build_nonlinear_ops

    rules = _build_nonlinear_ops()
    table = RuleTable(
        title="tangermeme",
        names=frozenset(cls.__name__ for cls in rules),
        explains=lambda module: type(module) in rules and not module._backward_hooks,
        hooks=lambda module: isinstance(module, tuple(rules)) and not module._backward_hooks,
        how_to_add="additional_nonlinear_ops={{{full}: tangermeme.deep_lift_shap._nonlinear}}",
        for_products="Compute it with tangermeme.deep_lift_shap.BilinearOp, a module made in __init__.",
    )
    raising = (faults.derived_and_refused,)
    return find_suspects(table, model, operations, raising, writes_are_refused=True)
