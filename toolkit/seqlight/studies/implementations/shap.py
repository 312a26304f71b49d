"""DeepExplainer of shap."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlight.studies.implementations.implementation import Implementation
from seqlight.studies.implementations.one_column import OneColumn
from seqlight.studies.implementations.suspects.shap import find_shap_suspects


def _contributions(
    model: nn.Module, X: Tensor, references: Tensor, args: tuple[Tensor, ...], target: int, random_state: int
) -> Tensor:
    """Return those of ``shap.DeepExplainer``, with all defaults; it checks additivity, with a tolerance of 0.01.

    It takes one background for all sequences and returns the mean over it, so there is an explainer for each pair, with
    the reference as background. It explains each output in turn, and needs an output with columns, so it gets a model
    that returns the target only, shape (rows, 1). Further inputs are explained, too: the background has the same row,
    so that they contribute nothing.
    """
    import shap

    explained = OneColumn(model, target)
    found = []
    for i, own in enumerate(references):
        more = [one[i : i + 1] for one in args]
        for reference in own.unsqueeze(1):
            if more:
                values = shap.DeepExplainer(explained, [reference, *more]).shap_values([X[i : i + 1], *more])[0]
            else:
                values = shap.DeepExplainer(explained, reference).shap_values(X[i : i + 1])
            # The shape is (1, letters, positions, 1).
            found.append(torch.from_numpy(values)[0, :, :, 0].sum(dim=0))
    return torch.stack(found).reshape(*references.shape[:2], -1)


SHAP = Implementation(
    name="shap",
    title="shap's DeepExplainer",
    package="shap",
    contributions=_contributions,
    modules=("shap", "shap.explainers._deep.deep_pytorch"),
    complete=True,
    refusals=(r"AssertionError: The SHAP explanations do not sum up",),
    # Of NumPy, about how the check computes.
    routine_warnings=(r"DeprecationWarning: __array_wrap__",),
    suspects=find_shap_suspects,
)
