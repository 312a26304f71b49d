"""Which validations and epochs are attributed."""

from __future__ import annotations

from typing import Any

from seqlight.errors import InputError


class Schedule:
    """Every so many epochs, and of the validations inside them every so many.

    Validations are counted over the whole training, also over one that was interrupted: the count is in the
    checkpoints.

    Parameters
    ----------
    every_n_epochs : int
        An epoch is due if its number, from 1, is a multiple.
    every_n_validations : int
        A validation is due if its number, from 1, is a multiple.

    Examples
    --------
    >>> schedule = Schedule(every_n_epochs=1, every_n_validations=2)
    >>> [schedule.validation(epoch, step) for epoch, step in [(1, 5), (1, 10), (2, 15), (2, 20)]]
    [False, True, False, True]
    """

    def __init__(self, every_n_epochs: int, every_n_validations: int) -> None:
        self.every_n_epochs, self.every_n_validations = every_n_epochs, every_n_validations
        self._validations, self._last = 0, -1

    def require_validations(self, on: str) -> None:
        """Raise InputError if validations are to be counted, and what `on` says is something else."""
        if self.every_n_validations > 1 and on != "validation":
            raise InputError(
                f"every_n_validations is {self.every_n_validations} and on is {on!r}: expected on='validation', or "
                "every_n_epochs."
            )

    def epoch(self, epoch: int) -> bool:
        """Return whether what ends an epoch is due."""
        return epoch % self.every_n_epochs == 0

    def validation(self, epoch: int, step: int) -> bool:
        """Count a validation, and return whether it is due.

        One at the step of the last is the same, seen again by a training that goes on from a checkpoint of it.
        """
        if step != self._last:
            self._validations, self._last = self._validations + 1, step
        return self.epoch(epoch) and self._validations % self.every_n_validations == 0

    def said(self, on: str) -> str:
        """Return in words when, at the end of what `on` says."""
        if on == "test":
            return "in each test"
        m, n = self.every_n_epochs, self.every_n_validations
        if on == "train":
            return "after each epoch" if m == 1 else f"after every {m} epochs"
        said = "at each validation" if n == 1 else f"at one validation in {n}"
        return said if m == 1 else f"{said}, in one epoch of {m}"

    def state(self) -> dict[str, Any]:
        """Return what has been counted; nothing before the first."""
        return {"validations": self._validations, "validated": self._last} if self._validations else {}

    def load(self, state: dict[str, Any]) -> None:
        """Go on counting."""
        self._validations, self._last = state.get("validations", 0), state.get("validated", -1)
