"""Libraries that only some functions need: loaded when first used, and asked for by the name of their extra."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from seqlight.errors import MissingExtra


def import_extra(module: str, name: str) -> Any:
    """Return an optional module.

    Parameters
    ----------
    module : str
        What to import.
    name : str
        The extra of seqlight that installs it.

    Returns
    -------
    module

    Raises
    ------
    MissingExtra
        If it is not installed.

    Examples
    --------
    >>> import_extra("json", "motifs").dumps([1])
    '[1]'
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        # Something else that is missing, inside of the module, is another matter.
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise MissingExtra(
            f"{error.name} is not installed, and this function needs it: run `pip install 'seqlight[{name}]'`."
        ) from None
