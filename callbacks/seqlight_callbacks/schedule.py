"""Which epochs and validations are attributed: every n-th of them."""

from __future__ import annotations

import warnings
from typing import Any

from seqlight.errors import InputError, SeqlightWarning
from seqlight.sequence.checks import require_count


class Schedule:
    """Every n-th epoch, and every n-th validation.

    Validations are counted over the whole training, also over one that is resumed: the count is in its checkpoints.

    Parameters
    ----------
    every_n_epochs : int
        An epoch, and the validations inside it, are due if its number, from 1, is a multiple of this.
    every_n_validations : int
        A validation is due if its number, from 1, is a multiple of this.
    on : "validation", "train" or "test"
        What the callback waits for.

    Raises
    ------
    InputError
        If a number is not positive, or `every_n_validations` is given and `on` is not "validation".

    Examples
    --------
    >>> schedule = Schedule(every_n_epochs=1, every_n_validations=2)
    >>> [schedule.advance(epoch, step) for epoch, step in [(1, 5), (1, 10), (2, 15), (2, 20)]]
    [False, True, False, True]
    """

    def __init__(self, every_n_epochs: int, every_n_validations: int, on: str = "validation") -> None:
        self.every_n_epochs = require_count(every_n_epochs, "every_n_epochs", least=1)
        self.every_n_validations = require_count(every_n_validations, "every_n_validations", least=1)
        if every_n_validations > 1 and on != "validation":
            raise InputError(
                f"every_n_validations is {every_n_validations} and on is {on!r}: expected on='validation', or "
                "every_n_epochs."
            )
        self.on = on
        self._validations, self._last_step = 0, -1
        self._never_due = False

    def begin(self, label: str, validates: bool) -> None:
        """Begin a training, and warn if it has no validations and this waits for them."""
        self._never_due = self.on == "train" or (self.on == "validation" and validates)
        if self.on == "validation" and not validates:
            warnings.warn(
                f"the Trainer validates nothing, so {label} will do nothing: pass validation data to fit, or "
                "on='train'.",
                SeqlightWarning,
                stacklevel=3,
            )

    def end(self, label: str) -> None:
        """End a training, and warn if nothing was due in it."""
        if self._never_due:
            warnings.warn(f"{label} recorded nothing, since nothing was due: {self}.", SeqlightWarning, stacklevel=3)

    def advance(self, epoch: int, step: int) -> bool:
        """Count the validation or epoch that ends at this epoch and step, and return whether it is due.

        A validation at the step of the last one is not counted again: a training that resumes from a checkpoint
        repeats it.
        """
        if self.on == "validation" and step != self._last_step:
            self._validations, self._last_step = self._validations + 1, step
        due = epoch % self.every_n_epochs == 0 and self._validations % self.every_n_validations == 0
        self._never_due = self._never_due and not due
        return due

    def state_dict(self) -> dict[str, Any]:
        """Return what has been counted; nothing before the first validation."""
        return {"validations": self._validations, "validated": self._last_step} if self._validations else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on counting from there."""
        self._validations, self._last_step = state.get("validations", 0), state.get("validated", -1)

    def __str__(self) -> str:
        if self.on == "test":
            return "in each test"
        m, n = self.every_n_epochs, self.every_n_validations
        if self.on == "train":
            return "after each epoch" if m == 1 else f"after one epoch in {m}"
        validations = "at each validation" if n == 1 else f"at one validation in {n}"
        return validations if m == 1 else f"{validations}, in one epoch of {m}"
