"""For which modules an implementation sets hooks and has rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class RuleTable:
    """The rules of the installed version of an implementation that hooks modules.

    Attributes
    ----------
    title : str
        As the package is called in sentences.
    names : frozenset of str
        The classes of PyTorch for which it has a rule that adds up.
    explains : callable
        Whether it uses a rule for a module.
    hooks : callable
        Whether it sets hooks on a module.
    how_to_add : str
        How a user adds a rule for an elementwise class, with ``{name}`` for its name and ``{full}`` for its full name.
    for_products : str
        What to do about a product of two operands that depend on the sequence, as a sentence; "" if nothing helps.
    """

    title: str
    names: frozenset[str]
    explains: Callable[[nn.Module], bool]
    hooks: Callable[[nn.Module], bool]
    how_to_add: str
    for_products: str = ""

    def base_with_rule(self, module: nn.Module) -> str:
        """Return the class with a rule that the class of a module is derived from; "" if there is none."""
        return next((cls.__name__ for cls in type(module).__mro__[1:] if cls.__name__ in self.names), "")
