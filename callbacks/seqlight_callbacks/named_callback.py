"""Callbacks with a name, of which a Trainer may have several, and how one is looked up in a Trainer."""

from __future__ import annotations

from typing import TypeVar

import lightning.pytorch as L

from seqlight.errors import InputError
from seqlight.lit.lightning_packages import Callback, require_lightning
from seqlight_callbacks.trainer_state import all_callbacks, require_unique_folder, require_unique_name

CallbackType = TypeVar("CallbackType", bound="NamedCallback")


class NamedCallback(Callback):
    """A callback of which a Trainer may have several, each with its own name."""

    name: str

    @property
    def state_key(self) -> str:
        """The key of its state in a checkpoint, different for each name."""
        return f"{type(self).__qualname__}(name={self.name!r})"

    @property
    def label(self) -> str:
        """What messages call it."""
        return f"{type(self).__name__} {self.name!r}"

    def describe(self) -> str:
        """Return what it does, in a phrase."""
        raise NotImplementedError

    def scalar_names(self) -> list[str]:
        """Return the names of the numbers that it logs for every record, without its own name before them."""
        return []

    def __repr__(self) -> str:
        return f"<{self.label}: {self.describe()}>"

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Refuse a Trainer in which two callbacks of this class have the same name or the same folder."""
        require_lightning(trainer)
        require_unique_name(trainer, self)
        require_unique_folder(trainer, self)


def find_callback(
    trainer: L.Trainer,
    kind: type[CallbackType],
    what: str,
    requested: CallbackType | str | None,
    requester: NamedCallback,
) -> CallbackType | None:
    """Return the callback of a Trainer that was asked for.

    Parameters
    ----------
    trainer : lightning.pytorch.Trainer
        Its callbacks are searched.
    kind : type
        The class of the callback.
    what : str
        What messages call one of that class, with its article.
    requested : callback, str or None
        The callback itself, its name, or None for the only one of its class.
    requester : callback
        Which callback needs it, for the message.

    Returns
    -------
    callback or None
        None if none was requested and the Trainer has none.

    Raises
    ------
    InputError
        If the Trainer does not have it, or has several and none was requested.
    """
    found = [callback for callback in all_callbacks(trainer) if isinstance(callback, kind)]
    names = ", ".join(repr(callback.name) for callback in found) or "none"
    if isinstance(requested, str):
        named = [callback for callback in found if callback.name == requested]
        if not named:
            raise InputError(
                f"{requester.label} looks for {what} {requested!r}, and the Trainer has {names}: give the name of one."
            )
        return named[0]
    if requested is not None:
        if not any(callback is requested for callback in found):
            raise InputError(f"{requester.label} was given {what} that is not in the Trainer's callbacks: list both.")
        return requested
    if len(found) > 1:
        raise InputError(f"{requester.label} could use any of several, {names}: give the name of one.")
    return found[0] if found else None
