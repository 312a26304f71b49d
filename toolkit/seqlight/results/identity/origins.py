"""Whose code it is: a library's, which its name and version identify, or the user's own, which has to be read."""

from __future__ import annotations

import enum
import sys
from functools import cache
from importlib.metadata import distribution, packages_distributions
from pathlib import PurePath
from typing import Any

from seqlight.results.identity.arrays import digest_of

# The manifest has the versions of the first, and warns if they change; the others do not affect what is computed.
KNOWN = {"torch", "numpy", "seqlight"}
AROUND = {"lightning", "pytorch_lightning", "lightning_fabric", "torchmetrics", "seqlight_callbacks"}
MAIN = {"__main__", "__mp_main__"}


class Origin(enum.Enum):
    """Where code comes from: Python and the libraries in the manifest, another installed package, or the user."""

    KNOWN = enum.auto()
    PACKAGE = enum.auto()
    OWN = enum.auto()


def origin_of(module: str | None) -> Origin:
    """Return where the module of this name comes from.

    Examples
    --------
    >>> origin_of("torch.nn.functional"), origin_of("pandas.io"), origin_of("__main__")
    (<Origin.KNOWN: 1>, <Origin.PACKAGE: 2>, <Origin.OWN: 3>)
    """
    if not module or module in MAIN:
        return Origin.OWN
    root = root_of(module)
    if root in sys.stdlib_module_names or root in KNOWN or root in AROUND:
        return Origin.KNOWN
    file = next((found for name in (module, root) if (found := getattr(sys.modules.get(name), "__file__", None))), None)
    installed = file is not None and {"site-packages", "dist-packages"} & set(PurePath(file).parts)
    return Origin.PACKAGE if installed else Origin.OWN


def root_of(module: str) -> str:
    """Return the package at the top of a module's name."""
    return module.partition(".")[0]


def name_of(one: Any) -> str:
    """Return the name of a class or function, with that of its module unless this is the main script."""
    module, name = getattr(one, "__module__", None), getattr(one, "__qualname__", type(one).__qualname__)
    # The main module has another name in processes that a script starts.
    return name if module is None or module in MAIN else f"{module}.{name}"


@cache
def package_version(root: str) -> str:
    """Return the name, version and digest of the installed package that has this module."""
    found = []
    for name in sorted(set(packages_distributions().get(root, ()))):
        one = distribution(name)
        # With the checksums of its files, for the user's own package may change without a new version.
        lines = (one.read_text("RECORD") or "").splitlines()
        sources = sorted(line for line in lines if line.partition(",")[0].endswith(".py"))
        found.append(f"{name} {one.version} {digest_of(sources)}")
    return ", ".join(found) or root


def library_version(module: str | None) -> str | None:
    """Return what identifies the version of a module's library, "" for Python and the like; None for the user's own."""
    origin = origin_of(module)
    if origin is Origin.OWN:
        return None
    return package_version(root_of(str(module))) if origin is Origin.PACKAGE else ""
