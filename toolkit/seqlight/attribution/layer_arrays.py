"""Arrays of hidden layers as a run keeps them, with a row for each sequence."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from seqlight.attribution.explanation import Explanation

# Before the name of a module, or of a row of the ledger; and what holds the rest of the ledger.
LAYER, TOTAL, MOMENTS = "layer_", "total_", "ledger_moments"


def layer_arrays(found: Explanation) -> dict[str, Tensor]:
    """Return what a run keeps of the hidden layers of some sequences; nothing if none were asked for.

    Returns
    -------
    dict of str to torch.Tensor
        ``layer_<name>``: what the output of a module contributes; ``total_<name>``, of shape (sequences,) or
        (sequences, targets): the sum of that, the mean over references, for each row of the ledger; and
        ``ledger_moments``, as of :func:`seqlight.attribution.layer_ledger.ledger_moments`.

    Examples
    --------
    >>> import torch
    >>> import seqlight as sl
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 3))
    >>> found = sl.attribute(model, sl.random_one_hot((2, 4, 20)), layers=True, random_state=0)
    >>> {name: tuple(one.shape) for name, one in layer_arrays(found).items()}
    {'total_0': (2,), 'total_1': (2,), 'ledger_moments': (2, 2, 3)}
    """
    from seqlight.attribution.layer_ledger import ledger_moments

    arrays = {f"{LAYER}{name}": one for name, one in (found.layers or {}).items()}
    if found.layer_totals is None or found.layer_names is None or found.reference_outputs is None:
        return arrays
    means = found.layer_totals.nanmean(dim=-2).unbind(-1)
    arrays |= {f"{TOTAL}{name}": one for name, one in zip(found.layer_names, means, strict=True)}
    return arrays | {MOMENTS: ledger_moments(found.layer_totals, found.outputs.unsqueeze(-1) - found.reference_outputs)}


def ledger_names(arrays: Iterable[str]) -> list[str]:
    """Return the names of the rows of a ledger, among those of the arrays of a run; none if it has no ledger.

    Examples
    --------
    >>> ledger_names(["attributions", "total_0", "total_1: head 2", "ledger_moments"])
    ['0', '1: head 2']
    """
    names = list(arrays)
    return [name.removeprefix(TOTAL) for name in names if name.startswith(TOTAL)] if MOMENTS in names else []


def shown_arrays(arrays: Iterable[str]) -> dict[str, str]:
    """Return the arrays to print, and what to print: one stands for the rows of a ledger, which may be hundreds.

    Examples
    --------
    >>> shown_arrays(["outputs", "total_0", "total_1", "ledger_moments"])
    {'outputs': 'outputs', 'total_0': 'total_0, and 1 more of the ledger', 'ledger_moments': 'ledger_moments'}
    """
    names = list(arrays)
    first, *others = [f"{TOTAL}{name}" for name in ledger_names(names)] or [""]
    shown = {name: name for name in names if name not in others}
    return shown | ({first: f"{first}, and {len(others)} more of the ledger"} if others else {})
