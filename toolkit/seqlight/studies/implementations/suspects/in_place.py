"""Writing in place: modules with a full backward hook do not allow it, for their operands and results are views."""

from __future__ import annotations

from torch import nn

from seqlight.studies.implementations.implementation import Suspect
from seqlight.studies.implementations.suspects.data_flow import DataFlow
from seqlight.studies.implementations.suspects.rule_table import RuleTable


def find_writes(table: RuleTable, model: nn.Module, flow: DataFlow, are_refused: bool) -> list[Suspect]:
    """Return the operations that change the operand or the result of a module with a hook.

    If these are not refused by the hooks, those that change a result can still be refused by autograd.
    """
    modules = dict(model.named_modules())
    found = []
    for write in flow.writes:
        module = modules[write.path]
        own = type(module).__module__.startswith("torch.nn.") and not list(module.children())
        if write.changed == write.path and not are_refused:
            continue
        why = f"which the hooks of {table.title} do not allow" if are_refused else "which autograd may need as it was"
        what = "its operand" if write.changed == write.path else f"the result of `{write.changed}`"
        found.append(
            Suspect(
                type(module).__name__ if own else write.operation,
                write.path,
                f"it changes {what} in place, {why}",
                "Set inplace=False." if own else "Write the result to a new tensor.",
            )
        )
    return found
