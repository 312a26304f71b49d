"""The arguments of an AttributionCallback: checked, and turned into what it works with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

from torch import Tensor

from seqlight.attribution.references import ReferenceFunction
from seqlight.attribution.targets import Targets
from seqlight.errors import InputError, kind_of
from seqlight.metrics.motif_share import require_window
from seqlight.sequence.checks import require_dense
from seqlight.sequence.shuffles import dinucleotide_shuffle, shuffle
from seqlight.targets.contrast import SingleTarget
from seqlight.targets.registry import as_target
from seqlight_callbacks.probes import read_array

SHUFFLES: dict[str, ReferenceFunction] = {"dinucleotide_shuffle": dinucleotide_shuffle, "shuffle": shuffle}
# Turns one-hot sequences into the inputs of a model.
InputFunction: TypeAlias = Callable[[Tensor], Any]


def require_choice(value: object, choices: Sequence[str], name: str) -> None:
    """Raise InputError unless a value is one of the choices."""
    if value not in choices:
        raise InputError(f"{name} is {value!r}: expected one of {', '.join(map(repr, choices))}.")


def resolve_references(references: str | Path | Tensor | ReferenceFunction) -> Tensor | ReferenceFunction:
    """Return a tensor of references, or the function that draws them, which may be given by name or as a file."""
    if isinstance(references, str) and references in SHUFFLES:
        return SHUFFLES[references]
    return read_array(references, "references", "references") if isinstance(references, str | Path) else references


def resolve_target(target: SingleTarget | str, n: int) -> SingleTarget:
    """Return a single target, which may be a tensor with one entry for each of `n` sequences, or the name of one."""
    if isinstance(target, list):
        raise InputError("target is a list: one callback explains one target, so give each a callback of its own.")
    return Targets(as_target(target) if isinstance(target, str) else target, n).each[0]


def resolve_window(window: Sequence[int] | None, positions: int) -> tuple[int, int] | None:
    """Return the start and end of a window on sequences of so many positions."""
    if window is None:
        return None
    if len(window) != 2:
        raise InputError(f"window is {window!r}: expected two numbers, start and end.")
    return require_window(*window, positions=positions)


def read_baseline(source: Tensor | str | Path | None, sequences: Tensor) -> Tensor | None:
    """Return the attributions to compare every record with, which have the shape of the sequences."""
    if source is None:
        return None
    baseline = require_dense(read_array(source, "compare_with", "attributions"), "compare_with")
    baseline = baseline.detach().cpu().clone()
    if baseline.shape != sequences.shape:
        raise InputError(
            f"compare_with has shape {tuple(baseline.shape)}: expected that of the sequences, {tuple(sequences.shape)}."
        )
    if not baseline.isfinite().all():
        raise InputError("compare_with holds NaN or infinity: expected finite numbers.")
    return baseline


def resolve_input_function(inputs: InputFunction | str | None) -> InputFunction | None:
    """Return a function, which may be given as ``"package.module.function"``.

    Examples
    --------
    >>> resolve_input_function("torch.flatten").__name__
    'flatten'
    """
    function: Any = inputs
    if isinstance(inputs, str):
        module, _, last = inputs.rpartition(".")
        try:
            function = getattr(import_module(module), last)
        except (ImportError, AttributeError, ValueError) as error:
            raise InputError(
                f"inputs is {inputs!r}, which cannot be imported ({error}): expected 'package.module.function'."
            ) from None
    if function is not None and not callable(function):
        raise InputError(f"inputs is {kind_of(function)}: expected a function of sequences, or the dotted path of one.")
    return function  # type: ignore[no-any-return]
