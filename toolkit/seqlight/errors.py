"""Every error and warning that seqlight raises, as one tree.

::

    SeqlightError
    ├── InputError (ValueError)               an argument cannot be used
    ├── ConvergenceError (RuntimeError)       as ConvergenceWarning, where the caller asked for an error
    ├── MissingExtra (ImportError)            an optional library is not installed
    ├── OutOfMemory (RuntimeError)            a device has not enough memory for a single row of a batch
    ├── ResultsError (RuntimeError)           a folder of results is incomplete, in use, or belongs to another run
    │   └── DiskError (OSError)               a file of results could not be written
    └── UnsupportedOperation (NotImplementedError)   no rule explains an operation of the model

    SeqlightWarning (UserWarning)
    ├── BatchWarning                          outputs depend on the other rows of the batch, or on chance
    ├── ConvergenceWarning (RuntimeWarning)   attributions do not sum to the output difference
    ├── IntegratedWarning                     an operation has no exact rule and is integrated numerically
    ├── KernelWarning                         a kernel cannot run here, and plain operations take its place
    ├── MemoryWarning                         a batch_size did not fit into memory, and a smaller one was used
    ├── RandomizationWarning                  attributions stay alike when the layers of the model are re-initialised
    ├── ReferencesWarning                     references are too few, or equal to the sequences
    └── ShuffleWarning                        a shuffle cannot move some positions

Each message is one sentence: what was found, what was expected, and what to do. Another one may say where in the model
it happens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class SeqlightError(Exception):
    """Base of all errors raised on purpose by seqlight.

    Attributes
    ----------
    typed : str or None
        The sentence in the words of the command line, where what to do differs from Python.
    """

    typed: str | None = None


class InputError(SeqlightError, ValueError):
    """An argument cannot be used as it is."""


class ConvergenceError(SeqlightError, RuntimeError):
    """Attributions do not sum to the difference between the outputs, and the caller asked for an error."""


class MissingExtra(SeqlightError, ImportError):
    """A function needs a library that is installed with an extra."""


class OutOfMemory(SeqlightError, RuntimeError):
    """A device has not enough memory for a single row of a batch; also caught as ``torch.OutOfMemoryError``."""


class ResultsError(SeqlightError, RuntimeError):
    """A folder of results is incomplete, is being written by another process, or belongs to another run."""


class DiskError(ResultsError, OSError):
    """A file of results could not be written, for instance on a full disk; ``errno`` is that of the system."""

    def __init__(self, message: str, errno: int | None = None) -> None:
        super().__init__(message)
        self.errno = errno


class UnsupportedOperation(SeqlightError, NotImplementedError):
    """A model contains an operation that the method cannot explain exactly."""


class SeqlightWarning(UserWarning):
    """Base of all warnings issued by seqlight."""


class BatchWarning(SeqlightWarning):
    """A model's output for a row depends on the other rows of its batch, or on chance."""


class ConvergenceWarning(SeqlightWarning, RuntimeWarning):
    """Attributions do not sum to the difference between the outputs."""


class IntegratedWarning(SeqlightWarning):
    """An operation has no exact rule, so its Jacobian is integrated numerically."""


class KernelWarning(SeqlightWarning):
    """A kernel cannot be compiled or run on this machine, so PyTorch's own operations take its place."""


class MemoryWarning(SeqlightWarning):
    """A batch of the size that was asked for did not fit into memory, and smaller ones were used instead."""


class RandomizationWarning(SeqlightWarning):
    """Attributions stay alike when the layers of the model are re-initialised, so they do not show what it learned."""


class ReferencesWarning(SeqlightWarning):
    """Attributions need more references to be as certain as was asked for, or references of another kind."""


class ShuffleWarning(SeqlightWarning):
    """A shuffle leaves some positions unchanged, whatever the draw."""


def kind_of(thing: object) -> str:
    """Return the name of a thing's type with its article, for error messages.

    Examples
    --------
    >>> kind_of(3), kind_of("ACGT"), kind_of(None)
    ('an int', 'a str', 'None')
    """
    if thing is None:
        return "None"
    name = type(thing).__name__
    # "ndarray" is read as "en-d-array"; most types with u are read like "uint8".
    return f"{'an' if name[0] in 'aeioAEIO' or name == 'ndarray' else 'a'} {name}"


def listed(names: Sequence[str], last: str = "and") -> str:
    """Return names as a list in a sentence.

    Examples
    --------
    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return f" {last} ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
