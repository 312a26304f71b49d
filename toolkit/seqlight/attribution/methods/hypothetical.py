"""Hypothetical contributions, as a ``custom_attribution_func`` of Captum's methods."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from seqlight.attribution.contributions import hypothetical_contributions
from seqlight.errors import InputError, kind_of
from seqlight.sequence.checks import require_tensor


def hypothetical_attributions(
    multipliers: tuple[Tensor, ...], inputs: tuple[Tensor, ...], baselines: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    """Return what each character would contribute at each position.

    A ``custom_attribution_func`` for :class:`seqlight.DeepLift` and :class:`seqlight.DeepLiftShap`, and for Captum's
    classes of the same names.

    Parameters
    ----------
    multipliers, inputs, baselines : tuple of torch.Tensor, each of shape (pairs, letters, positions)
        As ``attribute`` passes them; the values of `inputs` are not used.

    Returns
    -------
    tuple of torch.Tensor, shapes and dtypes of `multipliers`

    Raises
    ------
    InputError
        If they are not such tuples, or the tuples do not match.

    Examples
    --------
    >>> import torch
    >>> import seqlight as sl
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 2), torch.nn.ReLU())
    >>> X = sl.random_one_hot((3, 4, 20)).float()
    >>> explainer = sl.DeepLift(model)
    >>> explainer.attribute(X, target=0, custom_attribution_func=sl.hypothetical_attributions).shape
    torch.Size([3, 4, 20])
    """
    given = {"multipliers": multipliers, "inputs": inputs, "baselines": baselines}
    for name, many in given.items():
        _require_sequences(many, name)
    if not len(multipliers) == len(inputs) == len(baselines):
        counts = ", ".join(f"{len(many)} {name}" for name, many in given.items())
        raise InputError(f"there are {counts}: expected tuples of the same length, with an entry for each input.")
    for i, each in enumerate(zip(*given.values(), strict=True)):
        if len({one.shape for one in each}) > 1:
            shapes = ", ".join(f"{name}[{i}] {tuple(one.shape)}" for name, one in zip(given, each, strict=True))
            raise InputError(f"the shapes are {shapes}: expected one shape, as attribute passes them.")
    return tuple(hypothetical_contributions(m, r).to(m.dtype) for m, r in zip(multipliers, baselines, strict=True))


def _require_sequences(many: Any, name: str) -> None:
    """Raise InputError unless it is a tuple of tensors of shape (pairs, letters, positions)."""
    if not isinstance(many, tuple | list):
        remedy = f"; pass ({name},)" if isinstance(many, Tensor) else ""
        raise InputError(f"{name} is {kind_of(many)}: expected a tuple of tensors{remedy}.")
    for i, one in enumerate(many):
        require_tensor(one, f"{name}[{i}]")
        if one.ndim != 3:
            raise InputError(
                f"{name}[{i}] has shape {tuple(one.shape)}: expected (pairs, letters, positions); "
                "for inputs other than sequences, leave custom_attribution_func out."
            )
