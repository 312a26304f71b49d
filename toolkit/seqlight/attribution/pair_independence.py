"""Check that the multipliers of a pair of a sequence and a reference depend on no other row of their batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from seqlight.attribution.contributions import Block, Pairs, same_multipliers, typical_pair
from seqlight.attribution.engine.kernel_mode import KernelMode
from seqlight.errors import UnsupportedOperation
from seqlight.prediction.row_independence.check import require_independent_rows
from seqlight.prediction.row_independence.float64 import in_model_dtype

if TYPE_CHECKING:
    from seqlight.attribution.explainer import Explainer


def require_independent_pairs(explainer: Explainer, pairs: Pairs, block: Block, figures: Block) -> None:
    """Raise UnsupportedOperation if a sequence has another output, or other multipliers, in another batch.

    Its output is checked beside that of a reference. Multipliers are only checked if a call of the model reduces a
    tensor over its rows: what ``h.max()`` returns cancels in ``softmax(h - h.max())``, but not in its multipliers.

    Parameters
    ----------
    explainer : Explainer
    pairs : Pairs
    block : Block
        What it found for these.
    figures : Block
        The deltas and outputs of `block` on the CPU.
    """
    i, k = typical_pair(figures)
    first, size = pairs.first + i, explainer.size.rows
    both = [  # converted one by one: inputs or baselines may be integers
        torch.cat([explainer.model_inputs.convert(one) for one in (x[first : first + 1], r[i, k : k + 1])])
        for x, r in zip(explainer.inputs, pairs.references, strict=True)
    ]
    modes: list[KernelMode] = []

    def run(rows: Sequence[int]) -> Tensor:
        modes.append(KernelMode(explainer.model, explainer.policy, len(rows)))
        with torch.no_grad(), modes[-1]:
            chosen = in_model_dtype(explainer.model, [one[list(rows)] for one in both])
            return explainer.make_forward(first, first + 1, len(rows))(*chosen).cpu()

    # Anew, if a target holds what the sequence has.
    other = run([1])[0] if explainer.targets.holds else figures.baselines[i, :, k].cpu()
    expected = torch.stack([figures.outputs[i].cpu(), other])
    require_independent_rows(explainer.model, run, expected if size > 1 else expected[:1], size)
    reduction = next((one.reduction for one in modes if one.reduction), "")
    if reduction and size > 1:
        _require_own_multipliers(explainer, pairs, block, {(i, k), (0, 0)}, reduction)


def _require_own_multipliers(
    explainer: Explainer, pairs: Pairs, block: Block, chosen: set[tuple[int, int]], reduction: str
) -> None:
    """Raise UnsupportedOperation if the multipliers of any of the chosen pairs change when it is explained alone."""
    rounding = 1e-6 if block.multipliers[0].dtype == torch.float64 else 1e-3
    for i, k in sorted(chosen) if pairs.references[0].shape[:2].numel() > 1 else ():
        if not same_multipliers(explainer.launch(pairs.only(i, k)), block, i, k, rounding):
            raise UnsupportedOperation(
                f"{reduction} seems to mix the rows of a batch, so that attributions would depend on the other rows, "
                "although outputs do not: give it the dimensions of a row, as in h.amax(dim=(1, 2), keepdim=True), or "
                "pass batch_size=1."
            )
