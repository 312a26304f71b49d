"""What all targets by name have in common: fields that say everything, and a text that is read back."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields
from typing import Any, ClassVar

from torch import Tensor


class NamedTarget:
    """A target that has a name: a function of what a model returns, with a number for each row.

    It is a value: equal if its fields are, can be pickled, and a run describes it in full without an ``identity``.
    A class of your own that derives from it is a frozen dataclass with a `name` and a ``__call__``; under the
    entry-point group ``seqlight.targets`` it has that name on the command line, too.

    Examples
    --------
    >>> from seqlight.targets import Counts
    >>> str(Counts(head=1))
    'counts(head=1)'
    """

    name: ClassVar[str]

    def __call__(self, output: Any) -> Tensor:
        """Return a number for each row, shape (rows,)."""
        raise NotImplementedError

    def __str__(self) -> str:
        """Return the text that :func:`seqlight.targets.parse` reads: the name, and what is not at its default."""
        # This class is no dataclass itself: parsers of YAML do not take subclasses of one in its place.
        mine: tuple[Field[Any], ...] = fields(self)  # type: ignore[arg-type]
        needed = [one.name for one in mine if one.default is MISSING]
        given = [(one.name, getattr(self, one.name)) for one in mine if getattr(self, one.name) != one.default]
        told = ", ".join(repr(value) if name in needed else f"{name}={value!r}" for name, value in given)
        return f"{self.name}({told})" if told else self.name
