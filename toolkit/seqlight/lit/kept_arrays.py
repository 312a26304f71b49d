"""Which arrays a run of attributions keeps: those of every run, and what `keep` names."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from seqlight.attribution.explanation import Explanation
from seqlight.attribution.explanation_builder import pad_references
from seqlight.attribution.layer_arrays import layer_arrays
from seqlight.attribution.member_spread import SPREAD
from seqlight.errors import InputError
from seqlight.prediction.ensemble import Ensemble

# What every run keeps, and what `keep` may name.
ALWAYS = ("attributions", "outputs", "reference_outputs", "deltas")
KEPT = ("references", "standard_error", "multipliers", "sequences", "spread")


def require_kept(keep: Iterable[str], model: nn.Module) -> tuple[str, ...]:
    """Return `keep` as a tuple; InputError if it names anything else than can be kept of `model`."""
    names = tuple(keep)
    unknown = sorted(set(names) - set(KEPT))
    if "hypothetical" in unknown:
        raise InputError("keep names 'hypothetical': give hypothetical=True, or --hypothetical when typed, instead.")
    if unknown:
        raise InputError(f"keep names {unknown[0]!r}: expected {', '.join(map(repr, KEPT[:-1]))} or {KEPT[-1]!r}.")
    if "spread" in names and not (isinstance(model, Ensemble) and len(model) > 1):
        raise InputError("keep names 'spread': expected as model a seqlight.Ensemble of several members.")
    return names


def kept_arrays(
    found: Explanation, X: Tensor, n: int, keep: Iterable[str] = (), *, hypothetical: bool = False, counts: bool = False
) -> dict[str, Tensor]:
    """Return the arrays to keep of some sequences.

    Parameters
    ----------
    found : Explanation
        Of these.
    X : torch.Tensor, shape (sequences, letters, positions)
        The sequences, one-hot.
    n : int
        The number of references to make room for.
    keep : iterable of str
        What else to keep, as from :func:`require_kept`.
    hypothetical : bool
        Whether to keep hypothetical contributions, with the sequences.
    counts : bool
        Whether to keep the number of references of each sequence.

    Examples
    --------
    >>> import seqlight as sl
    >>> X = sl.random_one_hot((2, 4, 10), random_state=0)
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(40, 1))
    >>> found = sl.attribute(model, X, n_shuffles=3, random_state=0)
    >>> kept = kept_arrays(found, X, 5, ["sequences"])
    >>> list(kept), kept["deltas"].shape
    (['attributions', 'outputs', 'reference_outputs', 'deltas', 'sequences'], torch.Size([2, 5]))
    """
    kept = {name: getattr(found, name) for name in ALWAYS}
    if hypothetical:
        kept["hypothetical"] = found.hypothetical
    if hypothetical or "sequences" in keep:
        kept["sequences"] = X.to("cpu", torch.int8)
    if counts:
        kept["n_references"] = found.n_references
    for name in keep:
        fields = SPREAD if name == "spread" else () if name == "sequences" else (name,)
        kept |= {one: getattr(found, one) for one in fields if getattr(found, one) is not None}
    kept |= layer_arrays(found)
    return {name: pad_references(name, one, n) for name, one in kept.items()}
