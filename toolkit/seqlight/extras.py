"""Import optional libraries when they are first used, with an error that names the extra that installs them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from seqlight.errors import MissingExtra


def import_extra(module: str, name: str) -> Any:
    """Import an optional module.

    Parameters
    ----------
    module : str
        The full name of the module.
    name : str
        The extra of seqlight that installs it.

    Returns
    -------
    module

    Raises
    ------
    MissingExtra
        If the module is not installed.

    Examples
    --------
    >>> import_extra("json", "motifs").dumps([1])
    '[1]'
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        # A module that is installed, but fails to import another one, is a different problem.
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise MissingExtra(
            f"{error.name} is not installed, and this function needs it: run `pip install 'seqlight[{name}]'`."
        ) from None
