"""Which validations and epochs are attributed."""

from __future__ import annotations

import warnings
from typing import Any

from seqlight.errors import InputError, SeqlightWarning
from seqlight.sequence.checks import require_count


class Schedule:
    """Every so many epochs, and of the validations inside them every so many.

    Validations are counted over the whole training, also over one that was interrupted: the count is in the
    checkpoints.

    Parameters
    ----------
    every_n_epochs : int
        What is in, or at the end of, an epoch is due if the number of that, from 1, is a multiple.
    every_n_validations : int
        A validation is due if its number, from 1, is a multiple.
    on : "validation", "train" or "test"
        What is due.

    Raises
    ------
    InputError
        If a number is not above 0, or validations are to be counted and `on` is something else.

    Examples
    --------
    >>> schedule = Schedule(every_n_epochs=1, every_n_validations=2)
    >>> [schedule.due(epoch, step) for epoch, step in [(1, 5), (1, 10), (2, 15), (2, 20)]]
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
        self._validations, self._last = 0, -1
        self._awaited = False

    def begin(self, who: str, validates: bool) -> None:
        """Expect a training, and warn if it cannot bring what is waited for."""
        self._awaited = self.on == "train" or (self.on == "validation" and validates)
        if self.on == "validation" and not validates:
            warnings.warn(
                f"the Trainer validates nothing, so {who} will do nothing: pass validation data to fit, or on='train'.",
                SeqlightWarning,
                stacklevel=3,
            )

    def end(self, who: str) -> None:
        """Warn if nothing was due in a training that ends."""
        if self._awaited:
            warnings.warn(f"{who} recorded nothing, for it was never due: {self}.", SeqlightWarning, stacklevel=3)

    def due(self, epoch: int, step: int) -> bool:
        """Count what is at an epoch and a step, and return whether it is due.

        A validation at the step of the last is the same, seen again by a training that goes on from a checkpoint of it.
        """
        if self.on == "validation" and step != self._last:
            self._validations, self._last = self._validations + 1, step
        due = epoch % self.every_n_epochs == 0 and self._validations % self.every_n_validations == 0
        self._awaited = self._awaited and not due
        return due

    def state(self) -> dict[str, Any]:
        """Return what has been counted; nothing before the first."""
        return {"validations": self._validations, "validated": self._last} if self._validations else {}

    def load(self, state: dict[str, Any]) -> None:
        """Go on counting."""
        self._validations, self._last = state.get("validations", 0), state.get("validated", -1)

    def __str__(self) -> str:
        if self.on == "test":
            return "in each test"
        m, n = self.every_n_epochs, self.every_n_validations
        if self.on == "train":
            return "after each epoch" if m == 1 else f"after one epoch in {m}"
        said = "at each validation" if n == 1 else f"at one validation in {n}"
        return said if m == 1 else f"{said}, in one epoch of {m}"
