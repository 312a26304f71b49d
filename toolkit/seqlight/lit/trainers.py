"""What we ask of a Trainer, whichever part of seqlight it is that meets it."""

from __future__ import annotations

import lightning.pytorch as L

from seqlight.errors import InputError


def require_lightning(trainer: object) -> None:
    """Raise InputError unless `trainer` is one of the package ``lightning``."""
    if not isinstance(trainer, L.Trainer):
        kind = f"{type(trainer).__module__.split('.')[0]}.{type(trainer).__qualname__}"
        raise InputError(f"the trainer is a {kind}: expected lightning.pytorch.Trainer; import it from there.")
