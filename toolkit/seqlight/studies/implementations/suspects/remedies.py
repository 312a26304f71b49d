"""What a user can do about an operation for which an implementation has no rule."""

from __future__ import annotations

from collections.abc import Collection

from torch import nn

from seqlight.studies.implementations.suspects.audited_operation import AuditedOperation


def class_of_operation(name: str) -> str:
    """Return the name of the module class of PyTorch for an operation; "" if there is none.

    >>> class_of_operation("max_pool1d"), class_of_operation("gelu"), class_of_operation("exp")
    ('MaxPool1d', 'GELU', '')
    """
    plain = name.replace("_", "")
    return next((one for one in dir(nn) if one.lower() == plain and isinstance(getattr(nn, one), type)), "")


def describe_remedy(one: AuditedOperation, known: Collection[str], how_to_add: str) -> str:
    """Return what makes an implementation explain an operation, as a sentence; "" if nothing does.

    Parameters
    ----------
    one : AuditedOperation
    known : collection of str
        The classes for which the implementation has a rule that is right.
    how_to_add : str
        How to add a rule for an elementwise class, with ``{name}`` for its name and ``{full}`` for its full name.
    """
    name = class_of_operation(one.name)
    if one.belongs_to_torch:
        return f"Add a rule for it: {_fill(how_to_add, one.class_name)}." if one.treatment == "rescale" else ""
    if name in known:
        return f"Make it a module, torch.nn.{name}, in __init__, and use it once."
    if one.treatment != "rescale":
        return ""
    if name:
        return f"Make it a module, torch.nn.{name}, in __init__, and add a rule for that: {_fill(how_to_add, name)}."
    rule = how_to_add.format(name="ThatClass", full="ThatClass")
    return f"Make it a module of a class of its own, and add a rule for that: {rule}."


def _fill(how_to_add: str, name: str) -> str:
    return how_to_add.format(name=name, full=f"torch.nn.{name}")
