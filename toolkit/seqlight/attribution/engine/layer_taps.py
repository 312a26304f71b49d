"""Taps: what the modules of a model return is read in both passes, and its multipliers as they come back.

The multiplier of a hidden activation is the gradient that arrives at it, and its contribution is that times the
difference between sequence and reference. Each is reduced as soon as it is known, so that no multiplier is kept. The
hooks are those of PyTorch for all modules, and there for the time of a pass only: the model has none of them.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils._pytree import keystr, tree_flatten_with_path

from seqlight.attribution.calls.record import Snapshot
from seqlight.attribution.calls.retry import LayoutUnknown
from seqlight.attribution.engine.layer_contributions import (
    Activation,
    LayerAttribution,
    LayerReduction,
    attribute_pairs,
    sum_behind,
    sum_over_references,
)
from seqlight.attribution.engine.module_hooks import watch_modules
from seqlight.attribution.engine.row_layout import RowLayout, layout_of_shapes
from seqlight.errors import InputError, UnsupportedOperation

# What the entries of a record are called.
_PREFIX = "the output of module "
# A module by its name, the number of its call, and the place in what it returns.
_Key: TypeAlias = tuple[str, int, str]


class _Recorder(Protocol):
    """The mode of a pass."""

    def meet(self, name: str, y: Tensor) -> Snapshot | None:
        """Record a tensor of a sequence and return None, or return what was recorded for a reference."""


class LayerTaps:
    """Reads the contributions of the outputs of some modules.

    Parameters
    ----------
    modules : mapping of str to torch.nn.Module
    keeps : bool
        Whether to keep contributions, rather than their sum for each pair alone.
    reduction : callable, optional
        What to keep of contributions (pairs, ...), with the pairs in the first dimension.
    attribution : callable, optional
        What to keep in place of contributions: a function of multipliers, activations of the sequences and activations
        of the references, each (pairs, ...).
    inputs : bool
        Whether to read what the modules are given, rather than what they return.

    Attributes
    ----------
    names : tuple of str
        The outputs, in the order of their calls: the name of the module, with ``#1`` for the second of several calls,
        and ``[1]`` for the second of several tensors.
    layouts : list of RowLayout
        Where the rows lie in each tensor that is read, as far as that is known.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        keeps: bool = True,
        reduction: LayerReduction | None = None,
        attribution: LayerAttribution | None = None,
        inputs: bool = False,
    ) -> None:
        self._names_of = {id(module): name for name, module in modules.items()}
        self._asked, self._keeps, self._reduction = tuple(modules), keeps, reduction
        self._attribution, self._inputs = attribution, inputs
        self.names: tuple[str, ...] = ()
        self.layouts: list[RowLayout] = []
        self._places: list[int] = []  # of each name among the tensors read: two modules may return the same one
        self._reported: tuple[str, ...] = ()
        self._sequences, self._target = 0, 0
        self._readers: list[Callable[[Tensor], None]] = []
        self._found: dict[tuple[int, int], tuple[Tensor, Tensor | None]] = {}

    @contextlib.contextmanager
    def attached(self, mode: _Recorder, copy: bool) -> Iterator[None]:
        """Read what modules return to the model that is called inside; keep copies if `copy` is true."""
        keys: list[_Key] = []
        places: list[int] = []
        calls: Counter[str] = Counter()
        last: list[Tensor] = []  # a container returns what the last of its modules returned
        self._readers, self._found = [], {}

        def read(module: nn.Module, inputs: Any, output: Any = None) -> None:
            name = self._names_of.get(id(module))
            if name is None:
                return
            with torch._C.DisableTorchFunction():
                for path, one in tree_flatten_with_path(inputs if self._inputs else output)[0]:
                    if isinstance(one, Tensor) and one.requires_grad and one.is_floating_point():
                        if not (last and last[0] is one):
                            kept = mode.meet(f"{_PREFIX}{name}", one)
                            if kept is not None:
                                self._follow(one, kept, copy)
                            places.append(places[-1] + 1 if places else 0)
                        else:
                            places.append(places[-1])
                        last[:] = [one]
                        keys.append((name, calls[name], keystr(path)))
            calls[name] += 1

        try:
            with watch_modules(read, before=self._inputs):
                yield
        finally:
            last.clear()
        self._set_names(keys, places, calls)

    def _set_names(self, keys: Sequence[_Key], places: list[int], calls: Counter[str]) -> None:
        """Set the names after the first pass; those of every other pass have to be the same."""
        names = tuple(f"{name}{f'#{call}' if calls[name] > 1 else ''}{path}" for name, call, path in keys)
        if self.names:
            _require_equal(self.names, names)
        self.names, self._places = names, places

    @staticmethod
    def is_tap(name: str) -> bool:
        """Return whether an entry of a record is an output of a module."""
        return name.startswith(_PREFIX)

    def names_of_tensors(self) -> list[str]:
        """Return the first name of each tensor that is read."""
        return [self.names[self._places.index(at)] for at in range(max(self._places, default=-1) + 1)]

    def layouts_of_names(self) -> list[RowLayout]:
        """Return the layout of each output."""
        return [self.layouts[at] for at in self._places]

    def forget(self) -> None:
        """Forget names and layouts: the model is explained in another way from now on."""
        self.names, self._places, self.layouts = (), [], []

    def require_all(self) -> None:
        """Raise InputError if a module that was asked for was not called, or does not depend on the input."""
        if not self.names and not self._keeps:
            raise InputError(
                "layers is True, but the model calls no module whose output depends on the sequence: expected a model "
                "made of modules; leave out layers."
            )
        if not self._keeps:
            return
        for name in self._asked:
            if not any(one == name or one.startswith((f"{name}#", f"{name}[", f"{name}.")) for one in self.names):
                raise InputError(
                    f"layers names {name!r}, which is not called, or whose output does not depend on the sequence: "
                    "expected modules on the way from the sequence to the output; layers=True lists them."
                )

    def open(self, sequences: int) -> None:
        """Begin a batch of references of so many sequences."""
        self._sequences, self._readers, self._found = sequences, [], {}

    def begin_target(self, k: int) -> None:
        """Take the gradients from now on for those of target `k`."""
        self._target = k

    def close(self, targets: int) -> tuple[Tensor, ...]:
        """Return what was found in this batch.

        Returns
        -------
        tuple of torch.Tensor
            For each name, if contributions are kept, their sum over references in float64, (sequences, targets, ...),
            and last the total of each pair, (sequences, targets, references, names).
        """
        for at, reader in enumerate(self._readers):
            for k in range(targets):
                if (at, k) not in self._found:  # the target does not depend on it
                    self._target = k
                    reader(torch.zeros((), device="cpu"))
        found, self._readers, self._found = self._found, [], {}
        if self._reported:
            _require_equal(self._reported, self.names)
        self._reported = self.names
        totals = [torch.stack([found[at, k][0] for k in range(targets)]) for at in sorted({at for at, _ in found})]
        joined = torch.stack([totals[at] for at in self._places], dim=-1)  # (targets, references, sequences, names)
        sums: list[Tensor] = []
        if self._keeps:
            stacked = [torch.stack([found[at, k][1] for k in range(targets)], 1) for at in range(len(totals))]  # type: ignore[misc]
            sums = [stacked[at] for at in self._places]
        return *sums, joined.permute(2, 0, 1, 3)

    def _follow(self, y: Tensor, kept: Snapshot, copy: bool) -> None:
        """Read the multipliers of an output of the references as they come back."""
        at = len(self._readers)
        layout, snapshot = self._layout(at, kept.tensor, y), Snapshot.take(y, copy)

        def read(multipliers: Tensor) -> None:
            with torch.no_grad(), torch.autocast(y_device, enabled=False):
                self._found[at, self._target] = self._reduce(multipliers, kept.get(), snapshot.get(), layout)

        y_device = y.device.type
        y.register_hook(read)  # type: ignore[no-untyped-call]
        self._readers.append(read)

    def _layout(self, at: int, x: Tensor, r: Tensor) -> RowLayout:
        """Return the layout of a tensor of the sequences and of the references; LayoutUnknown if it is not known."""
        if at < len(self.layouts):
            return self.layouts[at]
        found = layout_of_shapes(x.shape, r.shape, self._sequences)
        if found is None:
            raise LayoutUnknown
        self.layouts.append(found)
        return found

    def _reduce(self, m: Tensor, x: Tensor, r: Tensor, layout: RowLayout) -> tuple[Tensor, Tensor | None]:
        """Return the total of each pair, (references, sequences), and what is kept of contributions, or None."""
        one = Activation.sort(m, x, r, layout, self._sequences)
        if not self._keeps:
            return one.totals(), None
        contributions = one.contributions()
        totals = sum_behind(contributions, 2)
        if self._attribution is not None:
            contributions = attribute_pairs(one, self._attribution)
        return totals, sum_over_references(contributions, self._reduction)


def calls_differ() -> UnsupportedOperation:
    """Return the error of a pass that met other modules than those before."""
    return UnsupportedOperation(
        "the modules that are called, or how often, differ between batches: contributions of layers need a model "
        "that calls the same ones for each; leave out layers."
    )


def _require_equal(before: tuple[str, ...], now: tuple[str, ...]) -> None:
    if now != before:
        raise calls_differ()
