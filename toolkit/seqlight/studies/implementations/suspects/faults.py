"""What goes wrong with hooks on modules although there is a rule: each is a fault of one or several implementations."""

from __future__ import annotations

from torch import nn

from seqlight.studies.implementations.implementation import Suspect
from seqlight.studies.implementations.suspects.audited_operation import AuditedOperation
from seqlight.studies.implementations.suspects.data_flow import DataFlow
from seqlight.studies.implementations.suspects.rule_table import RuleTable

POOLING = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
ONE_EACH = "Give each use a module of its own."


def reused_and_refused(table: RuleTable, one: AuditedOperation, flow: DataFlow) -> Suspect | None:
    """Modules that are called more than once, where that is an error."""
    if not table.explains(one.module) or flow.calls[one.path] < 2:
        return None
    reason = f"it is called {flow.calls[one.path]} times, and {table.title} needs a module for each use"
    return Suspect(one.class_name, one.path, reason, ONE_EACH)


def reused_and_overwritten(table: RuleTable, one: AuditedOperation, flow: DataFlow) -> Suspect | None:
    """Modules that are called more than once, where the last call counts for all."""
    if flow.calls[one.path] < 2:
        return None
    reason = f"it is called {flow.calls[one.path]} times, and {table.title} explains each with the values of the last"
    return Suspect(one.class_name, one.path, reason, ONE_EACH)


def directly_behind(table: RuleTable, one: AuditedOperation, flow: DataFlow) -> Suspect | None:
    """Modules that get the result of another hooked module, whose hook reads the gradient before it is replaced."""
    before = flow.previous.get(one.path)
    if before is None:
        return None
    reason = (
        f"it directly follows {before}, and {table.title} passes on to that module the plain gradient of this one, not "
        "what its rule gives"
    )
    remedy = "Put `x * 1.0` between the two (nn.Identity and nn.Dropout do not help)."
    return Suspect(one.class_name, one.path, reason, remedy)


def shared_operand(table: RuleTable, one: AuditedOperation, flow: DataFlow) -> Suspect | None:
    """Modules whose operand is used elsewhere, where the hook replaces the gradient of all uses."""
    other = flow.shared.get(one.path)
    if other is None:
        return None
    reason = (
        f"what it gets is used by `{other}`, too, and {table.title} replaces the gradient of both by that of this one"
    )
    return Suspect(one.class_name, one.path, reason, "Give it a tensor of its own: call it with `x * 1.0`.")


def overlapping_windows(table: RuleTable, one: AuditedOperation, flow: DataFlow) -> Suspect | None:
    """Max pooling whose windows overlap, where a position keeps its share in one of them only."""
    if not isinstance(one.module, POOLING) or _is_dilated(one.module):
        return None
    kernel, stride = _per_axis(one.module.kernel_size), _per_axis(one.module.stride)
    if all(k <= s for k, s in zip(kernel, stride, strict=True)):
        return None
    reason = (
        f"its windows overlap (kernel_size={one.module.kernel_size}, stride={one.module.stride}), and {table.title} "
        "counts a position that is the maximum of several windows once"
    )
    return Suspect(one.class_name, one.path, reason)


def dilated_windows(table: RuleTable, one: AuditedOperation, flow: DataFlow) -> Suspect | None:
    """Max pooling with dilation, which cannot be undone by the function that is used for that."""
    if not isinstance(one.module, POOLING) or not _is_dilated(one.module):
        return None
    reason = f"its windows are dilated (dilation={one.module.dilation}), and {table.title} takes them for dense ones"
    return Suspect(one.class_name, one.path, reason)


def normalized_twice(table: RuleTable, one: AuditedOperation, flow: DataFlow) -> Suspect | None:
    """Softmax whose multipliers are centred over all numbers of a batch."""
    if not isinstance(one.module, nn.Softmax):
        return None
    reason = f"{table.title} subtracts the mean of its multipliers over the whole batch, so that they do not add up"
    return Suspect(one.class_name, one.path, reason, "If it is the last operation, explain its operand, the logits.")


def taken_as_elementwise(table: RuleTable, one: AuditedOperation, flow: DataFlow) -> Suspect | None:
    """Softmax taken as elementwise, which loses what changes where the operand does not."""
    if not isinstance(one.module, nn.Softmax):
        return None
    reason = f"{table.title} takes it as elementwise, and loses the change of results whose own operand does not change"
    return Suspect(one.class_name, one.path, reason, "If it is the last operation, explain its operand, the logits.")


def derived_and_refused(table: RuleTable, one: AuditedOperation, flow: DataFlow) -> Suspect | None:
    """Modules of a class derived from one with a rule, which get hooks, but no rule."""
    if table.explains(one.module) or not table.hooks(one.module):
        return None
    base = table.base_with_rule(one.module)
    reason = f"{table.title} sets a hook on classes derived from {base}, but looks up the rule of that very class"
    return Suspect(one.class_name, one.path, reason, f"Use torch.nn.{base} itself.")


def _is_dilated(module: nn.Module) -> bool:
    return any(one != 1 for one in _per_axis(module.dilation))


def _per_axis(value: object) -> tuple[int, ...]:
    """Return a setting of a pooling module, an int or one for each axis, as a tuple of three."""
    return tuple(value) if isinstance(value, tuple | list) else (value,) * 3  # type: ignore[return-value]
