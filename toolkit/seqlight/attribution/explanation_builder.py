"""Build an Explanation from blocks: every method with references ends here."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from seqlight.attribution.contributions import result_dtype
from seqlight.attribution.convergence import ConvergenceCheck
from seqlight.attribution.explanation import PER_SEQUENCE, Explanation
from seqlight.attribution.reference_sampling import BlockExplainer, ReferenceSampler, SampledBlock
from seqlight.attribution.targets import Targets
from seqlight.prediction.outputs import OutputCollector


def build_explanation(
    method: str,
    explainer: BlockExplainer,
    sampler: ReferenceSampler,
    targets: Targets,
    check: ConvergenceCheck | None = None,
    multipliers: bool = False,
    references: bool = True,
    verbose: bool = False,
) -> Explanation:
    """Explain all sequences and put everything that is known of them into one record.

    Parameters
    ----------
    method : str
        The name of the public function.
    explainer : BlockExplainer
        Compares a few sequences with a few references; its model has been borrowed already.
    sampler : ReferenceSampler
        The sequences, and how many references each of them gets.
    targets : Targets
        What `explainer` explains.
    check : ConvergenceCheck, optional
        Collects the deltas of all blocks.
    multipliers, references, verbose : bool
        Whether to keep the multipliers of each reference, to keep the references, and to show a progress bar.
    """
    drawn = sampler.references
    collected = OutputCollector(len(drawn.X))
    with tqdm(total=len(drawn.X), unit=" sequences", disable=not verbose) as bar:
        for sampled in sampler.blocks(explainer):
            if check is not None:
                check.add(sampled.block)
            row, rows = collected.done, len(sampled.mean)
            found = _fields(sampled, drawn.X[row : row + rows], drawn.n, multipliers, references)
            collected.add(found if targets.several else _squeeze_targets(found), rows)
            bar.update(rows)
    random_state = None if isinstance(drawn.source, Tensor) else drawn.seed
    return Explanation(method, random_state=random_state, **_trim(collected.result()))


def _fields(sampled: SampledBlock, X: Tensor, n: int, multipliers: bool, references: bool) -> dict[str, Tensor | None]:
    """Return the fields of an Explanation for some sequences, each with room for `n` references."""
    block, dtype = sampled.block, result_dtype(sampled.block.deltas)
    used = block.deltas.shape[2]
    return {
        "attributions": (sampled.mean * X.cpu().unsqueeze(1)).to(dtype),
        "hypothetical": sampled.mean.to(dtype),
        "standard_error": sampled.standard_error.to(dtype),
        "outputs": block.outputs,
        "reference_outputs": _pad(block.baselines, 2, n),
        "deltas": _pad(block.deltas, 2, n),
        "n_references": torch.full((len(X),), used, device="cpu"),
        "references": _pad(sampled.references.cpu(), 1, n) if references else None,
        "multipliers": _pad(block.multipliers[0], 2, n) if multipliers else None,
    }


def _squeeze_targets(fields: dict[str, Tensor | None]) -> dict[str, Tensor | None]:
    """Return the fields of a single target without the dimension of targets."""
    return {
        name: one if one is None or name in PER_SEQUENCE else one.squeeze(1) for name, one in fields.items()
    }  # fmt: skip


def _pad(one: Tensor, dim: int, n: int) -> Tensor:
    """Return `one` with `n` references along `dim`, the missing ones NaN, or 0 in a tensor of integers."""
    room = n - one.shape[dim]
    if not room:
        return one
    shape = [*one.shape[:dim], room, *one.shape[dim + 1 :]]
    return torch.cat([one, one.new_full(shape, float("nan") if one.is_floating_point() else 0)], dim=dim)


def _trim(fields: dict[str, Tensor | None]) -> dict[str, Any]:
    """Remove the room for references that no sequence needed."""
    n = fields["n_references"]
    assert n is not None
    most = int(n.max())
    dims = {"reference_outputs": -1, "deltas": -1, "references": 1, "multipliers": -3}
    for name, dim in dims.items():
        one = fields[name]
        if one is not None and one.shape[dim] > most:
            fields[name] = one.narrow(dim, 0, most).clone()
    return fields
