"""A case of a study: a model, sequences with references, and the output to explain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from seqlight.attribution.references import ReferenceFunction, References
from seqlight.errors import InputError, kind_of
from seqlight.results.identity.modules import uncompiled
from seqlight.sequence.shuffles import dinucleotide_shuffle
from seqlight.studies.selected_output import select_output, select_target
from seqlight.targets.contrast import SingleTarget


@dataclass(frozen=True, eq=False)
class Case:
    """What every implementation of a study is asked to explain.

    Attributes
    ----------
    model : torch.nn.Module, or callable without arguments that returns one
        Called as ``model(X, *args)``.
    X : torch.Tensor, shape (rows, letters, positions)
        One-hot, unknown characters as columns of zeros.
    references : torch.Tensor of shape (rows, references, letters, positions), or callable
        What to compare with; all implementations get the same tensor.
    args : tuple of torch.Tensor
        Further inputs with a row for each sequence; its references get the same row.
    target : int
        The column of the output to explain.
    motifs : torch.Tensor of bool, shape (rows, positions), optional
        The positions that are known to matter.
    source : str
        Where the model is from, or the few lines that make it, for the pages of a study.
    """

    model: nn.Module | Callable[[], nn.Module]
    X: Tensor
    references: Tensor | ReferenceFunction = dinucleotide_shuffle
    args: tuple[Tensor, ...] = ()
    target: int = 0
    motifs: Tensor | None = None
    source: str = ""

    def make_model(self) -> nn.Module:
        """Return the model, in evaluation mode if it is made here; InputError if it is none."""
        if isinstance(self.model, nn.Module):
            return self.model
        model = self.model()
        if not isinstance(model, nn.Module):
            raise InputError(f"the function of a case returned {kind_of(model)}: expected a torch.nn.Module.")
        return model.eval()

    def draw_references(self, n: int, random_state: int) -> Tensor:
        """Return `n` references of each row, or as many as there are; shape (rows, references, letters, positions)."""
        return References(self.references, self.X, n, random_state).draw(0, len(self.X))


def as_case(
    name: str,
    model: Any,
    X: Tensor | None,
    references: Tensor | ReferenceFunction,
    args: tuple[Tensor, ...],
    target: SingleTarget,
    output: int | str | None = None,
) -> Case:
    """Return a case of this name, with its arrays in the processor's memory; InputError if it cannot be one."""
    if not isinstance(model, nn.Module | Case):
        raise InputError(f"the model {name!r} is {kind_of(model)}: expected a torch.nn.Module or a Case.")
    if isinstance(model, nn.Module):
        chosen = uncompiled(model) if output is None else select_output(uncompiled(model), output)
        if not isinstance(target, int):
            chosen, target = select_target(chosen, target), 0
        model = Case(chosen, X, references, args, target)  # type: ignore[arg-type]
    case: Case = model
    if not isinstance(case.X, Tensor) or case.X.ndim != 3 or not len(case.X):
        met = f"has shape {tuple(case.X.shape)}" if isinstance(case.X, Tensor) else f"is {kind_of(case.X)}"
        raise InputError(
            f"X of the model {name!r} {met}: expected a tensor of shape (rows, letters, positions), with rows."
        )
    wrong = [one for one in case.args if not isinstance(one, Tensor) or one.shape[:1] != case.X.shape[:1]]
    if wrong:
        raise InputError(f"args of the model {name!r} are {kind_of(wrong[0])}: expected tensors of {len(case.X)} rows.")
    on_cpu = {"X": case.X.detach().cpu(), "args": tuple(one.detach().cpu() for one in case.args)}
    return replace(case, **on_cpu)  # type: ignore[arg-type]
