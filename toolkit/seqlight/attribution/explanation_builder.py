"""Build an Explanation from blocks: every method with references ends here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.block_queue import PairExplainer
from seqlight.attribution.contributions import result_dtype
from seqlight.attribution.convergence import ConvergenceCheck
from seqlight.attribution.engine.layer_taps import LayerTaps
from seqlight.attribution.explanation import PER_SEQUENCE, Explanation
from seqlight.attribution.member_spread import spread_of_members
from seqlight.attribution.reference_count import ReferenceSampler, SampledBlock
from seqlight.attribution.targets import Targets
from seqlight.prediction.outputs import OutputCollector
from seqlight.prediction.progress import open_progress

# The fields of an Explanation that have a dimension of references, and which it is.
REFERENCE_DIMS = {"reference_outputs": -1, "deltas": -1, "references": 1, "multipliers": -3, "layer_totals": -2}


def build_explanation(
    method: str,
    explainer: PairExplainer,
    sampler: ReferenceSampler,
    targets: Targets,
    check: ConvergenceCheck | None = None,
    multipliers: bool = False,
    references: bool = True,
    verbose: bool = False,
    *,
    taps: LayerTaps | None = None,
) -> Explanation:
    """Explain all sequences and put everything that is known of them into one record.

    Parameters
    ----------
    method : str
        The name of the public function.
    explainer : PairExplainer
        Compares a few sequences with a few references; its model has been borrowed already.
    sampler : ReferenceSampler
        The sequences, and how many references each of them gets.
    targets : Targets
        What `explainer` explains.
    check : ConvergenceCheck, optional
        Collects the deltas of all blocks.
    multipliers, references, verbose : bool
        Whether to keep the multipliers of each reference, to keep the references, and to show a progress bar.
    taps : LayerTaps, optional
        Those of `explainer`.
    """
    drawn = sampler.references
    collected = OutputCollector(len(drawn.X))
    kept = drawn.source.cpu() if references and isinstance(drawn.source, Tensor) else None
    with open_progress(len(drawn.X), "sequences", show=verbose) as bar:
        for sampled in sampler.blocks(explainer, multipliers):
            if check is not None:
                check.add(sampled.block)
            row, rows = collected.done, len(sampled.hypothetical)
            found = _fields(sampled, drawn.X[row : row + rows], drawn.n)
            layers = {} if taps is None else _mean_of_layers(sampled, taps.names)
            if references:
                mine = sampled.references if kept is None else kept[row : row + rows, : sampled.references.shape[1]]
                found["references"] = pad_references("references", mine.cpu(), drawn.n)
            found = found if targets.several else _squeeze_targets(found)
            layers = layers if targets.several else _squeeze_targets(layers)
            collected.add({**found, "layers": layers}, rows)
            bar.update(rows)
    random_state = None if isinstance(drawn.source, Tensor) else drawn.seed
    fields = _trim(collected.result())
    fields["layers"] = fields["layers"] or None
    return Explanation(method, random_state=random_state, layer_names=None if taps is None else taps.names, **fields)


def _fields(sampled: SampledBlock, X: Tensor, n: int) -> dict[str, Tensor | None]:
    """Return the fields of an Explanation for some sequences, each with room for `n` references."""
    block, hypothetical = sampled.block, sampled.hypothetical
    fields = {
        "attributions": hypothetical * X.cpu().unsqueeze(1).to(hypothetical.dtype),
        "hypothetical": hypothetical,
        "standard_error": sampled.standard_error,
        "outputs": block.outputs,
        "reference_outputs": block.baselines,
        "deltas": block.deltas,
        "n_references": torch.full((len(X),), block.deltas.shape[2], device="cpu"),
        "references": None,
        "multipliers": sampled.multipliers,
        "layer_totals": block.layers[-1] if block.layers else None,
        **spread_of_members(sampled.members),
    }
    return {name: one if one is None else pad_references(name, one, n) for name, one in fields.items()}


def _mean_of_layers(sampled: SampledBlock, names: Sequence[str]) -> dict[str, Tensor | None]:
    """Return the mean contributions of each layer that was kept, (sequences, targets, ...)."""
    sums, n = sampled.block.layers[:-1], sampled.block.deltas.shape[2]
    dtype = result_dtype(sampled.block.deltas)
    return {name: (one / n).to(dtype) for name, one in zip(names, sums, strict=False)}


def _squeeze_targets(fields: dict[str, Tensor | None]) -> dict[str, Tensor | None]:
    """Return the fields of a single target without the dimension of targets."""
    return {
        name: one if one is None or name in PER_SEQUENCE else one.squeeze(1) for name, one in fields.items()
    }  # fmt: skip


def pad_references(name: str, field: Tensor, n: int) -> Tensor:
    """Return a field of an Explanation with room for `n` references, filled with NaN, or with 0 among integers."""
    dim = REFERENCE_DIMS.get(name)
    if dim is None or field.shape[dim] == n:
        return field
    shape = list(field.shape)
    shape[dim] = n - shape[dim]
    return torch.cat([field, field.new_full(shape, float("nan") if field.is_floating_point() else 0)], dim=dim)


def _trim(fields: dict[str, Tensor | None]) -> dict[str, Any]:
    """Remove the room for references that no sequence needed."""
    n = fields["n_references"]
    assert n is not None
    most = int(n.max())
    for name, dim in REFERENCE_DIMS.items():
        one = fields[name]
        if one is not None and one.shape[dim] > most:
            fields[name] = one.narrow(dim, 0, most).clone()
    return fields
