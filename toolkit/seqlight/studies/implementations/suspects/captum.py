"""What Captum's DeepLift treats wrongly in a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from seqlight.studies.implementations.implementation import Suspect
from seqlight.studies.implementations.suspects import faults
from seqlight.studies.implementations.suspects.find_suspects import find_suspects
from seqlight.studies.implementations.suspects.rule_table import RuleTable

if TYPE_CHECKING:
    import pandas as pd


def find_captum_suspects(model: nn.Module, operations: pd.DataFrame) -> list[Suspect]:
    """Return suspects of the installed version of Captum, by its own table of classes."""
    from captum.attr._core.deep_lift import SUPPORTED_NON_LINEAR

    def explains(module: nn.Module) -> bool:
        # The very class, and a module that has a backward hook already is passed over.
        return type(module) in SUPPORTED_NON_LINEAR and not module._backward_hooks

    table = RuleTable(
        title="Captum",
        names=frozenset(cls.__name__ for cls in SUPPORTED_NON_LINEAR) - {"Softmax"},
        explains=explains,
        hooks=explains,
        how_to_add="SUPPORTED_NON_LINEAR[{full}] = SUPPORTED_NON_LINEAR[torch.nn.ReLU], from "
        "captum.attr._core.deep_lift",
    )
    return find_suspects(
        table,
        model,
        operations,
        raising=(faults.reused_and_refused, faults.dilated_windows),
        silent=(faults.directly_behind, faults.shared_operand, faults.overlapping_windows),
        doubtful=(faults.normalized_twice,),
    )
