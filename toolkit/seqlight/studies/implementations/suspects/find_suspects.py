"""The operations of a model that an implementation with hooks on modules treats wrongly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from torch import nn

from seqlight.studies.implementations.implementation import Suspect
from seqlight.studies.implementations.suspects.audited_operation import AuditedOperation, read_operations
from seqlight.studies.implementations.suspects.data_flow import DataFlow, read_data_flow
from seqlight.studies.implementations.suspects.in_place import find_writes
from seqlight.studies.implementations.suspects.remedies import describe_remedy
from seqlight.studies.implementations.suspects.rule_table import RuleTable

if TYPE_CHECKING:
    import pandas as pd

# Returns why an operation goes wrong although there is a rule, or None.
Fault = Callable[[RuleTable, AuditedOperation, DataFlow], Suspect | None]


def find_suspects(
    table: RuleTable,
    model: nn.Module,
    operations: pd.DataFrame,
    raising: Sequence[Fault] = (),
    silent: Sequence[Fault] = (),
    doubtful: Sequence[Fault] = (),
    writes_are_refused: bool = False,
) -> list[Suspect]:
    """Return what is treated wrongly, the most likely cause first.

    Parameters
    ----------
    table : RuleTable
    model : torch.nn.Module
    operations : pandas.DataFrame
        The table of :func:`seqlight.audit`; its ``attrs["inputs"]`` may hold two rows to call the model with.
    raising, silent, doubtful : sequence of Fault
        Faults that end in an error; that make contributions wrong; and that may do so.
    writes_are_refused : bool
        Whether writing in place to the operand or result of a module with a hook ends in an error, too.
    """
    listed = read_operations(model, operations)
    flow = read_data_flow(model, operations, table.hooks)
    seen = [one for one in listed if one.is_seen]
    explained = [one for one in seen if table.explains(one.module)]
    writes = find_writes(table, model, flow, writes_are_refused)
    found = writes if writes_are_refused else []
    found += _apply(raising, table, seen, flow)
    named = {(one.operation, one.module) for one in found}
    for one in seen:
        wrong = _apply(silent, table, [one], flow) if one in explained else [_without_rule(table, one)]
        found += [each for each in wrong if one in explained or (each.operation, each.module) not in named]
    found += _apply(doubtful, table, explained, flow)
    found += [_not_seen(one) for one in listed if not one.is_seen]
    return list(dict.fromkeys([*found, *writes]))


def _apply(
    faults: Iterable[Fault], table: RuleTable, operations: Iterable[AuditedOperation], flow: DataFlow
) -> list[Suspect]:
    found = (fault(table, one, flow) for one in operations for fault in faults)
    return [one for one in found if one is not None]


def _without_rule(table: RuleTable, one: AuditedOperation) -> Suspect:
    if one.treatment == "half way" and not one.belongs_to_torch:
        reason = f"a product of two operands that both depend on the sequence, and {table.title} has no rule for it"
        return Suspect(one.name, one.path, reason, table.for_products)
    if one.module._backward_hooks and one.class_name in table.names:
        reason = f"it has a backward hook of its own, and {table.title} passes over such modules"
        return Suspect(one.class_name, one.path, reason, "Remove that hook.")
    remedy = describe_remedy(one, table.names, table.how_to_add)
    if one.belongs_to_torch:
        return Suspect(one.class_name, one.path, f"{table.title} has no rule for this class of module", remedy)
    base = table.base_with_rule(one.module)
    if base:
        reason = f"{table.title} has a rule for {base}, and none for classes derived from it"
        return Suspect(one.class_name, one.path, reason, f"Use torch.nn.{base} itself.")
    return Suspect(one.name, one.path, f"a function call, and {table.title} has rules for modules only", remedy)


def _not_seen(one: AuditedOperation) -> Suspect:
    return Suspect(one.name, one.path, "what depends on the sequence here is seen by no gradient", one.note)
