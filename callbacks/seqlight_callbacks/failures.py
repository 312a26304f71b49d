"""What becomes of an error inside a callback: it is raised before the first step, and later the training goes on."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Literal, TypeAlias, TypeVar

import lightning.pytorch as L

from seqlight.errors import InputError, SeqlightError, SeqlightWarning
from seqlight_callbacks.trainer_state import fitting

OnError: TypeAlias = Literal["warn", "raise"]
T = TypeVar("T")


@contextlib.contextmanager
def prefix_errors(who: Callable[[], str], hint: str = "") -> Iterator[None]:
    """Put before the message of an error whose it is.

    Parameters
    ----------
    who : callable
        Returns what to put before the message.
    hint : str
        What to do about an error that is not ours, and so does not say.

    Raises
    ------
    SeqlightError
        Of the same kind for one of ours, and InputError for any other.
    """
    try:
        yield
    except SeqlightError as error:
        raise type(error)(f"{who()}: {error}") from error
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0].rstrip(".")
        raise InputError(f"{who()}: {type(error).__name__}: {first}{hint}.") from error


def run_or_warn(trainer: L.Trainer, on_error: OnError, lost: str, work: Callable[[], T]) -> T | None:
    """Return what `work` returns; an error in the middle of a training is a warning, and does not end it.

    On several processes the same error must come to all of them, as it does behind :mod:`seqlight.lit.collectives`.

    Parameters
    ----------
    trainer : lightning.pytorch.Trainer
        Outside of its ``fit``, where nothing would be lost, an error is one, with a note that says whose it is.
    on_error : "warn" or "raise"
        Which of them it is in ``fit``.
    lost : str
        What is missing then, for the warning.
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
        if on_error == "raise" or not fitting(trainer):
            if not getattr(error, "__notes__", None):  # a note on what was lost inside
                error.add_note(f"{lost}.")
            raise
        if trainer.is_global_zero:
            warnings.warn(
                f"{lost}, and the training goes on: {type(error).__name__}: {error}", SeqlightWarning, stacklevel=2
            )
        return None
