"""The two packages by which people import Lightning, of which a project uses one.

``lightning.pytorch`` and ``pytorch_lightning`` are the same code under two names, but a Callback of one is none of the
other's. What we offer is one of both, where both are installed.
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

PACKAGES = ("lightning.pytorch", "pytorch_lightning")


def lightning_classes(name: str, packages: Sequence[str] = PACKAGES) -> tuple[type, ...]:
    """Return the classes of this name, one of each package that is installed and has it.

    Parameters
    ----------
    name : str
        As in ``"callbacks.Callback"``, from the package on.
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
        # One that is too old for this PyTorch raises all kinds of errors, and nobody can be using it.
        with contextlib.suppress(Exception):
            found.append(getattr(import_module(f"{package}.{module}".removesuffix(".")), last))
    return tuple(found)


def _callback() -> type:
    """Return a Callback of both, with messages going where they went before both were imported."""
    last = next((name for name in reversed(PACKAGES) if name in sys.modules), PACKAGES[0])
    made = new_class("Callback", lightning_classes("callbacks.Callback"))
    # Each package, when it is imported, has the messages of both to itself.
    rank_zero.log = logging.getLogger(f"{last}.utilities.rank_zero")
    made.__module__ = __name__
    return made


if TYPE_CHECKING:
    from lightning.pytorch.callbacks import Callback as Callback
else:
    # Whichever a project imports, before this or later, ours are instances of its Callback.
    Callback = _callback()
