"""What the table says about one function of PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from seqlight.attribution.calls.call import Function, Rule
from seqlight.attribution.rules.pooling import MaxPool

# What explains a call: a rule; the same operation written in others that have rules; or nothing, where it is linear.
Treatment = Rule | Function | None


@dataclass(frozen=True)
class Entry:
    """How calls of one function are explained.

    Parameters
    ----------
    name : str
        The operation's name, the same for all its spellings.
    function : callable
        The function to call on plain tensors: for an in-place spelling the one that is not in place.
    one_operand, several_operands : Treatment
        What explains a call in which one operand depends on the input, or in which several do.
    in_place : bool
        Whether the function itself writes to its first argument.
    linear_in : int, optional
        The operand in which it is linear, if there is only one.
    broadcasts : bool
        Whether operands are expanded to the shape of the result.
    indices : bool, optional
        For a pooling, whether the function returns the positions of its maxima; None if the call decides.
    kernel : callable, optional
        A faster function with the same result, for calls that need no rule.
    fused : callable, optional
        Takes the arguments of a call, and returns the single operation of ours that is equivalent, with its arguments;
        None if there is none.
    hides : bool
        Whether its result depends on the operands without a gradient.
    """

    name: str
    function: Function
    one_operand: Treatment
    several_operands: Treatment = None
    in_place: bool = False
    linear_in: int | None = None
    broadcasts: bool = False
    indices: bool | None = None
    kernel: Function | None = None
    fused: Function | None = None
    hides: bool = False

    @cached_property
    def is_product(self) -> bool:
        """Whether a call is linear as long as one operand depends on the input."""
        return self.one_operand is None and self.fused is None

    @cached_property
    def is_pooling(self) -> bool:
        """Whether the rule returns maxima with their positions, of which the call may return one."""
        return isinstance(self.one_operand, MaxPool)

    def treatment(self, dependent: tuple[int, ...], rounds: bool) -> Treatment:
        """Return what explains a call.

        Parameters
        ----------
        dependent : tuple of int
            The positions of the arguments that depend on the input.
        rounds : bool
            Whether the call rounds its result, which is then not linear in any operand.
        """
        if not dependent:
            return None
        if len(dependent) > 1:
            return self.several_operands
        return None if dependent[0] == self.linear_in and not rounds else self.one_operand
