"""Every error and warning that seqlight raises, as one tree.

::

    SeqlightError
    ├── InputError (ValueError)               what was passed in cannot be used
    ├── ConvergenceError (RuntimeError)       the same as the warning, where an error was asked for
    ├── MissingExtra (ImportError)            an optional library is not installed
    ├── ResultsError (RuntimeError)           a folder of results is not whole, is in use, or is of another run
    │   └── DiskError (OSError)               a file of results could not be written
    └── UnsupportedOperation (NotImplementedError)   a model does what no rule explains

    SeqlightWarning (UserWarning)
    ├── BatchWarning                          outputs depend on the rows that share a batch, or on chance
    ├── ConvergenceWarning (RuntimeWarning)   attributions do not sum to the output difference
    ├── IntegratedWarning                     an operation has no exact rule and is integrated numerically
    ├── ReferencesWarning                     references are too few, or what they are compared with
    └── ShuffleWarning                        a shuffle cannot move some positions

Each message says what was met, what was wanted, and what to do.
"""


class SeqlightError(Exception):
    """Base of all errors raised on purpose by seqlight."""


class InputError(SeqlightError, ValueError):
    """An argument cannot be used as it is."""


class ConvergenceError(SeqlightError, RuntimeError):
    """Attributions do not sum to the difference between the outputs, and the caller asked for an error."""


class MissingExtra(SeqlightError, ImportError):
    """A function needs a library that is installed with an extra."""


class ResultsError(SeqlightError, RuntimeError):
    """A folder of results is not whole, is written by another process, or belongs to another run."""


class DiskError(ResultsError, OSError):
    """A file of results could not be written, such as on a disk that is full; ``errno`` is that of the system."""

    def __init__(self, message: str, errno: int | None = None) -> None:
        super().__init__(message)
        self.errno = errno


class UnsupportedOperation(SeqlightError, NotImplementedError):
    """A model contains an operation that the method cannot explain exactly."""


class SeqlightWarning(UserWarning):
    """Base of all warnings issued by seqlight."""


class BatchWarning(SeqlightWarning):
    """What a model makes of a row depends on the rows that share its batch, or on chance."""


class ConvergenceWarning(SeqlightWarning, RuntimeWarning):
    """Attributions do not sum to the difference between the outputs."""


class IntegratedWarning(SeqlightWarning):
    """An operation has no exact rule, so its Jacobian is integrated numerically."""


class ReferencesWarning(SeqlightWarning):
    """Attributions would need more references to be as certain as was asked for, or other ones to be any."""


class ShuffleWarning(SeqlightWarning):
    """A shuffle leaves some positions as they were, whatever the draw."""


def a(thing: object) -> str:
    """Return what kind of thing it is, with its article, for a message.

    Examples
    --------
    >>> a(3), a("ACGT"), a(None)
    ('an int', 'a str', 'None')
    """
    if thing is None:
        return "None"
    name = type(thing).__name__
    # The n of ndarray is spoken as a letter; of words with u, most are like uint8.
    return f"{'an' if name[0] in 'aeioAEIO' or name == 'ndarray' else 'a'} {name}"
