"""What the constructor of an AttributionCallback takes, checked and as it is used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

from torch import Tensor

from seqlight.attribution.references import ReferenceFunction
from seqlight.attribution.targets import SingleTarget, Targets
from seqlight.errors import InputError, a
from seqlight.metrics.motif_share import require_window
from seqlight.sequence.checks import require_dense
from seqlight.sequence.shuffles import dinucleotide_shuffle, shuffle
from seqlight_callbacks.probes import read_array

SHUFFLES: dict[str, ReferenceFunction] = {"dinucleotide_shuffle": dinucleotide_shuffle, "shuffle": shuffle}
# Makes of one-hot sequences what a model is called with.
Inputs: TypeAlias = Callable[[Tensor], Any]


def require_one_of(value: object, there: Sequence[str], name: str) -> None:
    """Raise InputError unless a value is one of those there."""
    if value not in there:
        raise InputError(f"{name} is {value!r}: expected one of {', '.join(map(repr, there))}.")


def as_source(references: str | Path | Tensor | ReferenceFunction) -> Tensor | ReferenceFunction:
    """Return references, or what draws them."""
    if isinstance(references, str) and references in SHUFFLES:
        return SHUFFLES[references]
    return read_array(references, "references", "references") if isinstance(references, str | Path) else references


def as_single(target: SingleTarget, n: int) -> SingleTarget:
    """Return a target, which may be one for each of `n` sequences, but not several."""
    if isinstance(target, list):
        raise InputError("target is a list: one callback explains one target, so give each a callback of its own.")
    return Targets(target, n).each[0]


def as_window(window: Sequence[int] | None, positions: int) -> tuple[int, int] | None:
    """Return an interval of positions."""
    if window is None:
        return None
    if len(window) != 2:
        raise InputError(f"window is {window!r}: expected two numbers, start and end.")
    return require_window(*window, positions=positions)


def as_attributions(source: Tensor | str | Path | None, sequences: Tensor) -> Tensor | None:
    """Return attributions to compare with, which must have the shape of the sequences."""
    if source is None:
        return None
    found = require_dense(read_array(source, "compare_with", "attributions"), "compare_with").detach().cpu().clone()
    if found.shape != sequences.shape:
        raise InputError(
            f"compare_with has shape {tuple(found.shape)}: expected that of the sequences, {tuple(sequences.shape)}."
        )
    if not found.isfinite().all():
        raise InputError("compare_with holds NaN or infinity: expected finite numbers.")
    return found


def as_inputs(inputs: Inputs | str | None) -> Inputs | None:
    """Return a function, which may be given as ``"package.module.function"``.

    Examples
    --------
    >>> as_inputs("torch.flatten").__name__
    'flatten'
    """
    found: Any = inputs
    if isinstance(inputs, str):
        module, _, last = inputs.rpartition(".")
        try:
            found = getattr(import_module(module), last)
        except (ImportError, AttributeError, ValueError) as error:
            raise InputError(
                f"inputs is {inputs!r}, which is not there ({error}): expected 'package.module.function'."
            ) from None
    if found is not None and not callable(found):
        raise InputError(f"inputs is {a(found)}: expected a function of sequences, or the dotted path of one.")
    return found  # type: ignore[no-any-return]
