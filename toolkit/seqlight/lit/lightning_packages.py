"""The two packages that people import Lightning from; a project uses one of them.

``lightning.pytorch`` and ``pytorch_lightning`` are the same code under two names, but a Callback of one is no instance
of the other's Callback. Our callbacks are instances of both, if both are installed.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Sequence
from importlib import import_module
from types import new_class
from typing import TYPE_CHECKING

from lightning_utilities.core import rank_zero

from seqlight.errors import InputError

PACKAGES = ("lightning.pytorch", "pytorch_lightning")
# The one of our modules and data, which a Trainer of the other package does not accept.
OUR_PACKAGE = ("lightning.pytorch",)


def lightning_classes(name: str, packages: Sequence[str] = PACKAGES) -> tuple[type, ...]:
    """Return the classes of this name, one from each package that is installed and has it.

    Parameters
    ----------
    name : str
        The name within the package, such as ``"callbacks.Callback"``.
    packages : sequence of str
        Where to look.

    Examples
    --------
    >>> lightning_classes("Trainer")[0].__module__.split(".")[:2]
    ['lightning', 'pytorch']
    """
    module, _, last = name.rpartition(".")
    found = []
    for package in packages:
        # A version too old for this PyTorch raises errors of all kinds, and cannot be in use.
        with contextlib.suppress(Exception):
            found.append(getattr(import_module(f"{package}.{module}".removesuffix(".")), last))
    return tuple(found)


def require_lightning(trainer: object, packages: Sequence[str] = PACKAGES) -> None:
    """Raise InputError unless `trainer` is a Trainer of one of the packages of Lightning."""
    if not isinstance(trainer, lightning_classes("Trainer", packages)):
        kind = f"{type(trainer).__module__}.{type(trainer).__qualname__}"
        wanted = " or ".join(f"{package}.Trainer" for package in packages)
        raise InputError(f"the trainer is a {kind}: expected {wanted}; import it from there.")


def _make_callback() -> type:
    """Return a Callback of both packages, with log messages going where they went before both were imported."""
    last = next((name for name in reversed(PACKAGES) if name in sys.modules), PACKAGES[0])
    made = new_class("Callback", lightning_classes("callbacks.Callback"))
    # Each package, on import, redirects the messages of both to its own logger.
    rank_zero.log = logging.getLogger(f"{last}.utilities.rank_zero")
    made.__module__ = __name__
    return made


if TYPE_CHECKING:
    from lightning.pytorch.callbacks import Callback as Callback
else:
    # Whichever package a project imports, before or after this one, our callbacks are instances of its Callback.
    Callback = _make_callback()
