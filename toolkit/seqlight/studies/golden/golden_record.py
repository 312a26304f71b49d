"""A golden record: attributions that a test keeps, with what they were computed from."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqlight.attribution.explanation import Explanation
from seqlight.attribution.methods.deeplift_explanation import attribute
from seqlight.attribution.references import ReferenceFunction
from seqlight.errors import InputError, kind_of
from seqlight.files.atomic import atomic_write
from seqlight.formats.npz import map_array
from seqlight.results.identity.arrays import digest_of_array
from seqlight.results.identity.description import Description
from seqlight.sequence.shuffles import dinucleotide_shuffle
from seqlight.targets.contrast import Target

FORMAT = 1


@dataclass(frozen=True, eq=False)
class GoldenRecord:
    """Attributions, and digests of what they were computed from.

    Attributes
    ----------
    attributions : numpy.ndarray, shape (rows, ..., positions)
    outputs : numpy.ndarray, shape (rows,) or (rows, targets), or None
        What the model returned at the target; None if only attributions are known.
    facts : dict
        "model" (a fingerprint), "sequences", "references", "further inputs", "target", "seed" and "dtype", those that
        are known; and "versions", a dict.
    """

    attributions: NDArray[Any]
    outputs: NDArray[Any] | None
    facts: dict[str, Any]

    def save(self, path: str | os.PathLike[str], test: str) -> None:
        """Write the record as npz, or nothing; `test` is the name of the test that it belongs to."""
        about = json.dumps({"format": FORMAT, "test": test, "facts": self.facts})
        outputs = np.empty(0) if self.outputs is None else self.outputs
        # Written to an open file, for NumPy would add .npz to the name of the temporary one.
        with atomic_write(path) as partial, partial.open("wb") as file:
            np.savez_compressed(file, attributions=self.attributions, outputs=outputs, about=np.array(about))


def read_golden(path: str | os.PathLike[str], test: str) -> GoldenRecord:
    """Return the record in a file; InputError if there is none, or if it belongs to another test."""
    attributions, outputs, text = (map_array(path, name) for name in ("attributions", "outputs", "about"))
    try:
        about = json.loads(str(text))
        known, of_test, facts = about["format"], about["test"], about["facts"]
    except (ValueError, LookupError, TypeError):
        raise InputError(f"{path} is no golden record: write it anew, or take it from version control.") from None
    if known != FORMAT:
        raise InputError(
            f"{path} has format {known} of golden records, and this seqlight reads {FORMAT}: write it anew."
        )
    if of_test != test:
        raise InputError(f"{path} is of the test {of_test}, not of {test}: give one of the two another name.")
    return GoldenRecord(attributions, outputs if outputs.size else None, facts)


def record_model(
    model: nn.Module,
    X: Tensor,
    *,
    args: Sequence[Tensor] | None = None,
    target: Target = 0,
    references: Tensor | ReferenceFunction = dinucleotide_shuffle,
    n_shuffles: int = 20,
    random_state: int = 0,
    dtype: torch.dtype | str | None = None,
) -> GoldenRecord:
    """Attribute on the CPU, with the arguments of :func:`seqlight.attribute`, and return the record."""
    found = attribute(
        model,
        X,
        args,
        target,
        references=references,
        n_shuffles=n_shuffles,
        random_state=random_state,
        dtype=dtype,
        device="cpu",
    )
    record = record_attributions(found)
    # Leniently: what cannot be described still has a name, and it is the attributions that decide.
    facts = {
        "model": Description("the model", strict=False).describe_model(model),
        "sequences": digest_of_array(X),
        "further inputs": [digest_of_array(one) for one in args or ()],
        "target": target if isinstance(target, int) else [Description("target", strict=False).describe(target)],
    }
    return GoldenRecord(record.attributions, record.outputs, record.facts | facts)


def record_attributions(found: Explanation | Tensor | NDArray[Any]) -> GoldenRecord:
    """Return the record of ready attributions; InputError if they are not an array of rows and positions."""
    if isinstance(found, Explanation):
        known = {"seed": found.random_state, "dtype": str(found.attributions.dtype).removeprefix("torch.")}
        if found.references is not None:
            known["references"] = digest_of_array(found.references)
        array, outputs = _array(found.attributions), _array(found.outputs)
    else:
        array, outputs, known = _array(found), None, {}
    if array.ndim < 2:
        raise InputError(
            f"attribution_golden got attributions of shape {array.shape}: expected (rows, ..., positions)."
        )
    versions = {name: version(name) for name in ("seqlight", "torch", "numpy")}
    return GoldenRecord(array, outputs, known | {"versions": versions | {"python": platform.python_version()}})


def _array(found: Tensor | NDArray[Any]) -> NDArray[Any]:
    if isinstance(found, Tensor):
        found = found.detach().cpu()
        found = (found.float() if found.dtype in (torch.bfloat16, torch.float16) else found).numpy()
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "fiub":
        raise InputError(
            f"attribution_golden got {kind_of(found)}: expected a model with sequences, an Explanation, or a tensor of "
            "attributions."
        )
    return found
