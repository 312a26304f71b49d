"""Calls whose tensors are needed later, to differentiate their multipliers."""

from __future__ import annotations

from dataclasses import dataclass

from seqlight.attribution.rules.pullbacks import Observed
from seqlight.errors import UnsupportedOperation


@dataclass
class KeptCall:
    """A call as it was observed, and the versions of its tensors: none may be written to since."""

    name: str
    observed: Observed
    versions: tuple[int, ...]

    @classmethod
    def of(cls, observed: Observed) -> KeptCall:
        """Keep a call."""
        return cls(observed.call.name, observed, _versions(observed))

    def get(self) -> Observed:
        """Return the call; UnsupportedOperation if one of its tensors was written to."""
        if self.versions != _versions(self.observed):
            raise UnsupportedOperation(
                f"what {self.name} takes or returns is written to in place afterwards, but is needed to differentiate "
                "its multiplier: let the operation that writes to it return a new tensor."
            )
        return self.observed


def _versions(observed: Observed) -> tuple[int, ...]:
    made_of = () if observed.parts else (*observed.operands, *observed.results)
    return tuple(one._version for one in made_of)
