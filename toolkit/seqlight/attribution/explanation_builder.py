"""Put what a method finds, a few sequences at a time, into one record."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from seqlight.attribution.contributions import Misses, result_dtype
from seqlight.attribution.explanation import PER_SEQUENCE, Explanation
from seqlight.attribution.reference_sampling import Job, Sampled, Sampling
from seqlight.attribution.targets import Targets
from seqlight.prediction.outputs import OutputCollector


def explanation(
    method: str,
    job: Job,
    sampling: Sampling,
    targets: Targets,
    misses: Misses | None = None,
    multipliers: bool = False,
    references: bool = True,
    verbose: bool = False,
) -> Explanation:
    """Explain all sequences of `sampling` and return everything that is known of them.

    Parameters
    ----------
    method : str
        The function that is asked.
    job : Job
        It explains a few sequences against a few references; its model has been borrowed already.
    sampling : Sampling
        The sequences, and how many references each gets.
    targets : Targets
        What `job` explains.
    misses : Misses, optional
        Is told by how much each pair misses.
    multipliers, references, verbose : bool
        Whether to keep the multipliers of each reference, to keep the references, and to show a progress bar.
    """
    drawn = sampling.drawn
    collected = OutputCollector(len(drawn.X))
    with tqdm(total=len(drawn.X), unit=" sequences", disable=not verbose) as bar:
        for first, last in job.rows(sampling.step):
            for sampled in sampling.of(job, first, last):
                if misses is not None:
                    misses.add(sampled.block)
                row, rows = collected.done, len(sampled.mean)
                found = _fields(sampled, drawn.X[row : row + rows], drawn.n, multipliers, references)
                collected.add(found if targets.several else _without_targets(found), rows)
                bar.update(rows)
    drawn_from = None if isinstance(drawn.source, Tensor) else drawn.seed
    return Explanation(method, random_state=drawn_from, **_trimmed(collected.result()))


def _fields(sampled: Sampled, X: Tensor, n: int, multipliers: bool, references: bool) -> dict[str, Tensor | None]:
    """Return the fields of an explanation for some sequences, each with room for `n` references."""
    block, kind = sampled.block, result_dtype(sampled.block.deltas)
    used = block.deltas.shape[2]
    return {
        "attributions": (sampled.mean * X.cpu().unsqueeze(1)).to(kind),
        "hypothetical": sampled.mean.to(kind),
        "standard_error": sampled.standard_error.to(kind),
        "outputs": block.outputs,
        "reference_outputs": _padded(block.baselines, 2, n),
        "deltas": _padded(block.deltas, 2, n),
        "n_references": torch.full((len(X),), used, device="cpu"),
        "references": _padded(sampled.references.cpu(), 1, n) if references else None,
        "multipliers": _padded(block.multipliers[0], 2, n) if multipliers else None,
    }


def _without_targets(found: dict[str, Tensor | None]) -> dict[str, Tensor | None]:
    return {
        name: one if one is None or name in PER_SEQUENCE else one.squeeze(1) for name, one in found.items()
    }  # fmt: skip


def _padded(one: Tensor, dim: int, n: int) -> Tensor:
    """Return `one` with `n` references along `dim`, the further ones NaN, or 0 where that is an integer."""
    room = n - one.shape[dim]
    if not room:
        return one
    shape = [*one.shape[:dim], room, *one.shape[dim + 1 :]]
    return torch.cat([one, one.new_full(shape, float("nan") if one.is_floating_point() else 0)], dim=dim)


def _trimmed(found: dict[str, Tensor | None]) -> dict[str, Any]:
    """Take away the room for references that no sequence needed."""
    n = found["n_references"]
    assert n is not None
    most = int(n.max())
    at = {"reference_outputs": -1, "deltas": -1, "references": 1, "multipliers": -3}
    for name, dim in at.items():
        one = found[name]
        if one is not None and one.shape[dim] > most:
            found[name] = one.narrow(dim, 0, most).clone()
    return found
