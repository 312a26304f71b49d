"""How the calls of one model are handled: by which rules, with copies or not, in which regions."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.calls.call import ObserveFunction
from seqlight.attribution.calls.retry import ComparisonChanged, Discontinuous, Overwritten, Retry, Unexplained
from seqlight.attribution.engine.layer_taps import LayerTaps
from seqlight.attribution.engine.model_region_mode import RegionPolicy
from seqlight.attribution.engine.twins import RevealFunction
from seqlight.attribution.kernels.convolution import Convolution
from seqlight.attribution.kernels.linear import Linear
from seqlight.attribution.kernels.table import compiled
from seqlight.attribution.kernels.unbind import Unbound
from seqlight.attribution.rules.elementwise import RescaleFunction, ScaleFunction
from seqlight.attribution.rules.numerical_integration import Integrated
from seqlight.attribution.rules.table import rules
from seqlight.attribution.rules.table_entry import Entry
from seqlight.errors import UnsupportedOperation
from seqlight.prediction.device_memory import is_too_large

# A mutant shares more than this fraction of positions with its wild type; a shuffle shares a third with its sequence.
NEARLY_EQUAL = 0.8


@dataclass
class CallPolicy:
    """How the calls of one model are handled.

    Parameters
    ----------
    rules : dict
        From functions of PyTorch to entries of the table.
    copy : bool
        Record copies: for a model that overwrites in place what a rule needs.
    inspect : bool
        Inspect what each call adds to autograd's graph: for a model with operations that are not in the table.
    announced : set of str
        Operations for which the user was warned that they are integrated.
    plain_kernels : bool
        Use PyTorch's own kernels: for references that equal their sequences nearly everywhere. In a faster kernel the
        rounding at a position may depend on its neighbours, and a secant between two roundings of one number is noise.
    channels_last : bool
        Let results of convolutions lie in memory with channels last, where that is faster and the model cannot tell.
    arranges : bool
        Whether any did.
    regions : RegionPolicy
        Which parts of the model are handled as one operation.
    taps : LayerTaps, optional
        Modules whose contributions are read.
    traceless : set of callable
        Functions that are not in the table and were found to need no look at their arguments.
    """

    rules: MutableMapping[Any, Entry]
    copy: bool = False
    inspect: bool = False
    announced: set[str] = field(default_factory=set)
    plain_kernels: bool = False
    channels_last: bool = False
    arranges: bool = False
    regions: RegionPolicy = field(default_factory=RegionPolicy)
    taps: LayerTaps | None = None
    traceless: set[Any] = field(default_factory=set)

    def revise(self, reason: Retry) -> None:
        """Change the policy to avoid `reason`; raise it if that was done already."""
        match reason:
            case Overwritten() if not self.copy:
                self.copy = True
            case Unexplained() if not self.inspect:
                self.inspect = True
            case ComparisonChanged():
                self.regions.active = True
            case Discontinuous():
                self.regions.drop(reason.part)
            case _:
                raise reason

    def stop_arranging(self, error: Exception) -> bool:
        """Let all tensors lie as usual from now on if that may help against an error; return whether it may."""
        known = isinstance(error, (Retry, UnsupportedOperation)) or is_too_large(error)
        if known or not (self.channels_last and self.arranges):
            return False
        self.channels_last = False  # some code that no mode sees may depend on how a tensor lies
        return True

    def choose_kernels(self, sequence: Tensor, reference: Tensor, device: torch.device) -> None:
        """Choose kernels by one pair, for a model on `device`."""
        self.plain_kernels = nearly_equal(sequence, reference)
        self.channels_last = device.type == "cpu" and not (self.plain_kernels or compiled())

    def kernel(self, entry: Entry, func: Any) -> Any:
        """Return the fastest function that returns the same as `func`."""
        return func if self.plain_kernels or entry.kernel is None else entry.kernel

    @property
    def state(self) -> tuple[object, ...]:
        """What a record depends on: a record made in another state cannot be used."""
        return self.copy, self.inspect, self.plain_kernels, self.channels_last, *self.regions.state

    @cached_property
    def explained_by(self) -> frozenset[Any]:
        """The autograd functions of all rules and kernels, and that of the sequences' pass."""
        known = rules()
        own = (entry for function, entry in self.rules.items() if known.get(function) is not entry)
        return _functions_in_table() | _collect_functions(own)


def nearly_equal(sequence: Tensor, reference: Tensor) -> bool:
    """Return whether both are equal at most positions, like a mutant and its wild type, unlike a shuffle."""
    if sequence.ndim < 2 or sequence.shape != reference.shape:
        return False
    same = (sequence.to(reference) == reference).flatten(0, -2).all(dim=0)
    return bool(same.float().mean() > NEARLY_EQUAL)


def _collect_functions(entries: Iterable[Entry]) -> frozenset[Any]:
    found = (getattr(one, "backward", None) for entry in entries for one in (entry.one_operand, entry.several_operands))
    return frozenset(one for one in found if one is not None)


@cache
def _functions_in_table() -> frozenset[Any]:
    # Loaded with the first model that is explained.
    from seqlight.attribution.kernels.batch_norm import BatchNorm
    from seqlight.attribution.kernels.channels_last import ChannelsLastConvolution

    first: frozenset[Any] = frozenset(
        {ObserveFunction, Integrated.backward, ScaleFunction, RescaleFunction, RevealFunction}
        | {Convolution, ChannelsLastConvolution, BatchNorm, Linear, Unbound}
    )
    return first | _collect_functions(rules().values())
