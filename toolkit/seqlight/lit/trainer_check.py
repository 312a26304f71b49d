"""What we ask of a Trainer, whichever part of seqlight it is that meets it."""

from __future__ import annotations

from collections.abc import Sequence

from seqlight.errors import InputError
from seqlight.lit.lightning_packages import PACKAGES, lightning_classes

# Of which our modules and data are; the other package's Trainer takes none but its own.
OURS = ("lightning.pytorch",)


def require_lightning(trainer: object, packages: Sequence[str] = PACKAGES) -> None:
    """Raise InputError unless `trainer` is a Trainer of one of the packages of Lightning."""
    if not isinstance(trainer, lightning_classes("Trainer", packages)):
        kind = f"{type(trainer).__module__}.{type(trainer).__qualname__}"
        wanted = " or ".join(f"{package}.Trainer" for package in packages)
        raise InputError(f"the trainer is a {kind}: expected {wanted}; import it from there.")
