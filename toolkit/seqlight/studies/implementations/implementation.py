"""An implementation of attribution under one small interface, whoever wrote it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Protocol

from torch import Tensor, nn

if TYPE_CHECKING:
    import pandas as pd

# The key of `DataFrame.attrs` with two rows of each input of the model, in the table that suspects are found by.
INPUTS = "inputs"


class ContributionFunction(Protocol):
    """Computes how much each position contributes to the output of a model."""

    def __call__(
        self,
        model: nn.Module,
        X: Tensor,
        references: Tensor,
        args: tuple[Tensor, ...],
        target: int,
        random_state: int,
    ) -> Tensor:
        """Return contributions.

        Parameters
        ----------
        model : torch.nn.Module
            In evaluation mode, on the CPU, in the dtype of the cell. It may be left changed: that is recorded.
        X : torch.Tensor, shape (rows, letters, positions), of the model's dtype
        references : torch.Tensor, shape (rows, references, letters, positions), of the model's dtype
        args : tuple of torch.Tensor
            Further inputs with a row for each sequence.
        target : int
            The column of the output to explain.
        random_state : int
            The seed, for what is drawn at random.

        Returns
        -------
        torch.Tensor, shape (rows, references, positions) or (rows, positions)
            For each pair, the sum over letters of multiplier times (sequence - reference); or one number a position, if
            references are not told apart or not used.
        """
        ...


class SuspectFunction(Protocol):
    """Finds the operations of a model that an implementation is known to treat wrongly."""

    def __call__(self, model: nn.Module, operations: pd.DataFrame) -> list[Suspect]:
        """Return suspects, the most likely first.

        Parameters
        ----------
        model : torch.nn.Module
        operations : pandas.DataFrame
            The table of :func:`seqlight.audit`; ``operations.attrs["inputs"]`` holds two rows of each input, to call
            the model with.
        """
        ...


@dataclass(frozen=True)
class Suspect:
    """An operation that an implementation is known to treat wrongly.

    Attributes
    ----------
    operation : str
        Such as "relu" or "MaxPool1d".
    module : str
        The path of the module that calls it, "" for the model itself.
    reason : str
        Why, as the end of a sentence: "a function call, and Captum has rules for modules only".
    remedy : str
        What a user can do to get complete attributions from this implementation, as a sentence; "" if nothing is known.
    """

    operation: str
    module: str
    reason: str
    remedy: str = ""


@dataclass(frozen=True)
class Implementation:
    """One way to compute contributions, and what it promises.

    A package adds its own with an entry point in the group ``seqlight.implementations`` that names an instance. Its
    module must be importable without the library that does the work, which `contributions` imports itself.

    Attributes
    ----------
    name : str
        As it is called in tables: "captum-deeplift".
    title : str
        As it is called in sentences: "Captum's DeepLift".
    package : str
        The distribution whose version is recorded; an implementation is absent where it is not installed.
    contributions : ContributionFunction
        What computes them.
    modules : tuple of str
        Imported before the first cell, so that importing does not count as time of the cell.
    complete : bool
        Whether it promises that contributions sum to the output difference.
    approximate : bool
        Whether it is an approximation by design, a sum of steps or of samples, so that its miss is not rounding.
    signed : bool
        Whether its contributions have a sign.
    hypothetical : bool
        Whether the implementation also offers contributions of characters that the sequence does not have.
    refusals : tuple of str
        Regular expressions, matched against "ErrorClass: message" of an error: by these it declines a model on purpose.
    routine_warnings : tuple of str
        Regular expressions of warnings that come with every call, right or wrong, so that they tell a user nothing.
    suspects : SuspectFunction, optional
        Names the operations of a model that it is known to treat wrongly.
    by_default : bool
        Whether it takes part in every study, or only where it is named.
    """

    name: str
    title: str
    package: str
    contributions: ContributionFunction
    modules: tuple[str, ...] = ()
    complete: bool = False
    approximate: bool = False
    signed: bool = True
    hypothetical: bool = False
    refusals: tuple[str, ...] = ()
    routine_warnings: tuple[str, ...] = ()
    suspects: SuspectFunction | None = None
    by_default: bool = True

    @property
    def version(self) -> str | None:
        """The version of its package, None where that is not installed."""
        try:
            return version(self.package)
        except PackageNotFoundError:
            return None
