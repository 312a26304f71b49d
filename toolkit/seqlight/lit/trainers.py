"""What we ask of a Trainer, whichever part of seqlight it is that meets it."""

from __future__ import annotations

from seqlight.errors import InputError
from seqlight.lit.packages import PACKAGES, kinds


def require_lightning(trainer: object) -> None:
    """Raise InputError unless `trainer` is a Trainer of ``lightning.pytorch`` or of ``pytorch_lightning``."""
    if not isinstance(trainer, kinds("Trainer")):
        kind = f"{type(trainer).__module__}.{type(trainer).__qualname__}"
        raise InputError(f"the trainer is a {kind}: expected the Trainer of {' or '.join(PACKAGES)}.")
