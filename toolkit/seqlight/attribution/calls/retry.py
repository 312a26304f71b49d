"""Why a model has to go through the engine again, under another policy. No user sees these exceptions."""

from __future__ import annotations


class Retry(Exception):
    """The passes so far are void: revise the policy, and make them again."""


class Overwritten(Retry):
    """A recorded tensor was changed in place: copies have to be recorded."""


class Unexplained(Retry):
    """The output depends on the input by an operation that is not in the table: the graph has to be inspected."""


class ComparisonChanged(Retry):
    """A comparison came out differently for a reference: what the model makes of it has to be integrated."""


class Discontinuous(Retry):
    """What the model makes of a comparison jumps: each of its calls has to be explained on its own.

    Parameters
    ----------
    part : object
        Which part of the model.
    """

    def __init__(self, part: object) -> None:
        super().__init__(part)
        self.part = part
