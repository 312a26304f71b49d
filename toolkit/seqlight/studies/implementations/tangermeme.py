"""DeepLIFT/SHAP of tangermeme."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlight.studies.implementations.implementation import Implementation
from seqlight.studies.implementations.one_column import OneColumn
from seqlight.studies.implementations.pairs import has_columns
from seqlight.studies.implementations.suspects.tangermeme import find_tangermeme_suspects


def _contributions(
    model: nn.Module, X: Tensor, references: Tensor, args: tuple[Tensor, ...], target: int, random_state: int
) -> Tensor:
    """Return those of ``tangermeme.deep_lift_shap.deep_lift_shap``, with all defaults but two.

    It takes one-hot sequences without unknown characters, and references that are one-hot or zero, unless it is called
    with ``only_warn=True``: so that it is, where they are not. A model whose output is (rows,) is wrapped so that it
    has a column, as a user of it has to do, too.
    """
    from tangermeme.deep_lift_shap import deep_lift_shap

    if not has_columns(model, X, args):
        model, target = OneColumn(model), 0
    usual = _all_equal(X, 1) and _all_equal(references.flatten(0, 1), 0, 1)
    raw: Tensor = deep_lift_shap(
        model,
        X,
        args=args or None,
        target=target,
        references=references,
        raw_outputs=True,
        only_warn=not usual,
        device="cpu",
        random_state=random_state,
    )
    return ((X.unsqueeze(1) - references) * raw).sum(dim=2)


def _all_equal(X: Tensor, *sums: int) -> bool:
    """Return whether X has only 0 and 1 as values, and each position has one of these sums."""
    values = torch.tensor([0, 1], dtype=X.dtype)
    return bool(torch.isin(X, values).all() and torch.isin(X.sum(dim=1), torch.tensor(sums, dtype=X.dtype)).all())


TANGERMEME = Implementation(
    name="tangermeme",
    title="tangermeme",
    package="tangermeme",
    contributions=_contributions,
    modules=("tangermeme.deep_lift_shap",),
    complete=True,
    hypothetical=True,
    # What it checks itself: the sequences, the references and the shape of the output.
    refusals=(
        r"ValueError: deep_lift_shap requires ",
        r"ValueError: (X|references) (must|has|cannot) ",
    ),
    suspects=find_tangermeme_suspects,
)
