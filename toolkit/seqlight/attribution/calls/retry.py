"""Reasons to run a model through the engine again, under another policy. No user sees these exceptions."""

from __future__ import annotations


class Retry(Exception):
    """The passes so far are void: revise the policy, and repeat them."""


class Overwritten(Retry):
    """A recorded tensor was changed in place: record copies."""


class Unexplained(Retry):
    """The output depends on the input through an operation that is not in the table: inspect the graph."""


class LayoutUnknown(Retry):
    """Shapes do not tell where the rows of a batch lie in an activation: find it out."""


class ComparisonChanged(Retry):
    """A comparison came out differently for a reference: integrate the region that depends on it."""


class Discontinuous(Retry):
    """A region that depends on a comparison is discontinuous: explain each of its calls on its own.

    Parameters
    ----------
    part : object
        The region.
    """

    def __init__(self, part: object) -> None:
        super().__init__(part)
        self.part = part
