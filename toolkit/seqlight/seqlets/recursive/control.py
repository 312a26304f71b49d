"""Attributions of shuffled sequences, in which every seqlet is a false one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seqlight.attribution.methods.deeplift import deep_lift_shap
from seqlight.attribution.references import dinucleotide_shuffles
from seqlight.attribution.targets import Targets
from seqlight.errors import InputError
from seqlight.prediction.arguments import require_args, require_rows
from seqlight.sequence.checks import require_count, require_one_hot
from seqlight.sequence.random_streams import LARGEST_SEED, seed
from seqlight.targets.contrast import Contrast


def shuffled_control(
    model: nn.Module,
    X: Tensor,
    args: Sequence[Tensor] | None = None,
    *,
    n: int = 1,
    random_state: int | None = None,
    **options: Any,
) -> Tensor:
    """Attribute dinucleotide-shuffled sequences, as a control for ``recursive_seqlets``.

    Pass the same model, sequences and options as to ``deep_lift_shap``, so that the control differs from the
    attributions only in the order of the characters::

        X_attr = deep_lift_shap(model, X, random_state=0)
        control = shuffled_control(model, X, random_state=0)
        seqlets = recursive_seqlets(X_attr.sum(dim=1), X_control=control, target_fdr=0.05)

    Parameters
    ----------
    model : torch.nn.Module
        As in ``deep_lift_shap``.
    X : torch.Tensor, shape (sequences, letters, positions)
        One-hot; unknown characters, columns of zeros, stay where they are.
    args : sequence of torch.Tensor, optional
        Further inputs of the model, one row for each sequence and its shuffles.
    n : int
        Shuffles of each sequence. More of them make the estimated false discovery rate steadier.
    random_state : int, optional
        Seed: shuffle k of each sequence is drawn with ``random_state + k``, and the references of the shuffles are
        drawn as in ``deep_lift_shap``. None for a fresh one.
    **options
        Any other option of ``deep_lift_shap``: target (one, or one for each sequence), references as a function,
        n_shuffles, ...

    Returns
    -------
    torch.Tensor, shape (sequences * n, positions)
        The attribution of each character; the shuffles of one sequence are consecutive rows.

    Raises
    ------
    InputError
        If an argument cannot be used.

    Examples
    --------
    >>> import torch
    >>> from seqlight import random_one_hot
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 1), torch.nn.ReLU())
    >>> shuffled_control(model, random_one_hot((3, 4, 20), random_state=0), n=2, random_state=0).shape
    torch.Size([6, 20])
    """
    for name in ("hypothetical", "raw_outputs", "return_references"):
        if options.get(name):
            raise InputError(f"{name} was asked for, but a control has one number per position: leave it out.")
    if isinstance(options.get("references"), Tensor):
        raise InputError("references is a tensor, made for other sequences than the shuffles: pass a function.")
    X, n = require_one_hot(X), require_count(n, "n", least=1)
    inputs = require_args(args)
    require_rows(inputs, len(X))
    # A fresh seed is small enough to add the numbers of shuffles and references.
    first = seed(random_state) if random_state is not None else seed(None) // 2
    if first + n - 1 > LARGEST_SEED:
        raise InputError(f"random_state is {random_state}: expected at most {LARGEST_SEED - n + 1} for {n} shuffles.")
    shuffled = dinucleotide_shuffles(X, n, first).flatten(0, 1)
    repeated = [one.repeat_interleave(n, dim=0) for one in inputs]
    if "target" in options:
        Targets(options["target"], len(X))
        options["target"] = _repeat_target(options["target"], n)
    found = deep_lift_shap(model, shuffled, repeated or None, random_state=first, **options)
    assert isinstance(found, Tensor)
    if found.ndim != 3:
        raise InputError("target names several outputs: make a control for each.")
    return found.sum(dim=1)


def _repeat_target(target: Any, n: int) -> Any:
    """Return the target for `n` shuffles of each sequence; shuffles share the target of their sequence."""
    if isinstance(target, Contrast):
        return Contrast(_repeat_target(target.a, n), _repeat_target(target.b, n))
    if isinstance(target, Tensor | np.ndarray) and target.ndim:
        return torch.as_tensor(target, device="cpu").repeat_interleave(n, dim=0)
    return target
