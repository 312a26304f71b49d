"""What happens on an error in a callback: it is raised before the first step; later the training goes on."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Literal, TypeAlias, TypeVar

import lightning.pytorch as L

from seqlight.errors import InputError, SeqlightError, SeqlightWarning
from seqlight_callbacks.trainer_state import is_fitting

OnError: TypeAlias = Literal["warn", "raise"]
T = TypeVar("T")


@contextlib.contextmanager
def prefix_errors(prefix: Callable[[], str], hint: str = "") -> Iterator[None]:
    """Prefix the message of any error, so that it says which callback it came from.

    Parameters
    ----------
    prefix : callable
        Returns what to put before the message; called only if there is an error.
    hint : str
        What to do, for an error that is not a SeqlightError and so does not say.

    Raises
    ------
    SeqlightError
        Of the same class if it was one; any other error becomes an InputError.
    """
    try:
        yield
    except SeqlightError as error:
        raise type(error)(f"{prefix()}: {error}") from error
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0].rstrip(".")
        raise InputError(f"{prefix()}: {type(error).__name__}: {first}{hint}.") from error


def run_or_warn(trainer: L.Trainer, on_error: OnError, lost: str, work: Callable[[], T]) -> T | None:
    """Return what `work` returns; in the middle of a training, turn an error into a warning.

    On several processes, the error must reach all of them, as errors do in :mod:`seqlight.lit.collectives`.

    Parameters
    ----------
    trainer : lightning.pytorch.Trainer
        Outside its ``fit`` there is no training to lose: the error is raised, with a note on what is missing.
    on_error : "warn" or "raise"
        What to do inside ``fit``.
    lost : str
        What is missing after an error, for the warning or the note.
    work : callable
        What to do.

    Returns
    -------
    anything
        What `work` returns, or None after an error.
    """
    try:
        return work()
    except Exception as error:
        if on_error == "raise" or not is_fitting(trainer):
            if not getattr(error, "__notes__", None):  # an inner call has already said what was lost
                error.add_note(f"{lost}.")
            raise
        if trainer.is_global_zero:
            warnings.warn(
                f"{lost}, and the training goes on: {type(error).__name__}: {error}", SeqlightWarning, stacklevel=2
            )
        return None
