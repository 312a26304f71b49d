"""Taps: what the modules of a model return is read in both passes, and its multipliers as they come back.

The multiplier of a hidden activation is the gradient that arrives at it, and its contribution is that times the
difference between sequence and reference. The hooks are those of PyTorch for all modules, and there for the time of a
pass only: the model has none of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from seqlight.attribution.calls.record import Snapshot
from seqlight.attribution.engine.layer_contributions import LayerAttribution, LayerReduction
from seqlight.attribution.engine.layer_rows import PassRows, Row, row_names
from seqlight.attribution.engine.module_hooks import named_tensors, watch_modules
from seqlight.attribution.engine.multiplier_reader import Branch, MultiplierReader
from seqlight.attribution.engine.row_layout import RowLayout
from seqlight.errors import InputError, UnsupportedOperation

# What the entries of a record are called.
_PREFIX, _OPERAND = "the output of module ", "a branch in module "


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
    parts : bool
        Whether to read the branches of residual sums and the heads of attention, too.

    Attributes
    ----------
    names : tuple of str
        The outputs, in the order of their calls: the name of the module, with ``#1`` for the second of several calls,
        and ``[1]`` for the second of several tensors; parts as :mod:`seqlight.attribution.engine.layer_rows` says.
    reader : MultiplierReader
        Reads the multipliers of what they return, and knows where the rows lie in it.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        keeps: bool = True,
        reduction: LayerReduction | None = None,
        attribution: LayerAttribution | None = None,
        inputs: bool = False,
        parts: bool = False,
    ) -> None:
        self._names_of = {id(module): name for name, module in modules.items()}
        self._asked, self._keeps, self._inputs, self.parts = tuple(modules), keeps, inputs, parts
        self.reader = MultiplierReader(keeps, reduction, attribution)
        self.names: tuple[str, ...] = ()
        self._rows: list[Row] = []
        self._reported: tuple[str, ...] = ()
        self._places = 0
        self._pass = PassRows()

    @contextlib.contextmanager
    def attached(self, mode: _Recorder, copy: bool) -> Iterator[None]:
        """Read what modules return to the model that is called inside; keep copies if `copy` is true."""
        self._pass = met = PassRows(copy)
        self.reader.clear()

        def enter(module: nn.Module, inputs: Any) -> None:
            met.running.append(id(module))

        def read(module: nn.Module, inputs: Any, output: Any = None) -> None:
            if self.parts:
                met.leave(id(module))
            name = self._names_of.get(id(module))
            if name is None:
                return
            with torch._C.DisableTorchFunction():
                for path, one in named_tensors(inputs if self._inputs else output):
                    if one.requires_grad and one.is_floating_point():
                        self._read_output(mode, name, path, one)
            met.calls[name] += 1

        entered = watch_modules(enter, before=True) if self.parts else contextlib.nullcontext()
        try:
            with entered, watch_modules(read, before=self._inputs):
                yield
        finally:
            self._pass = PassRows()  # after an error, too, it would keep tensors alive
        self._set_names(met)

    def _read_output(self, mode: _Recorder, name: str, path: str, y: Tensor) -> None:
        met = self._pass
        if not met.is_last(y):  # a container returns what the last of its modules returned
            self._meet(mode, f"{_PREFIX}{name}", y)
        met.rows.append(Row(name, met.calls[name], path, met.places - 1))
        if self.parts:
            met.sources[y] = f"{name}{path}"

    def read_sum(self, mode: _Recorder, y: Tensor, branch: Tensor, scale: float, names: Sequence[str]) -> None:
        """Read a sum of two tensors, the second of which is `branch` times `scale`, and what each contributes."""
        met = self._pass
        met.sources.pop(y, None)  # it may be the first of the two, overwritten
        layer = met.layer(self._names_of)
        parts = tuple(f"branch {k} ({name})" if name else f"branch {k}" for k, name in enumerate(names))
        if met.is_of_loop(layer, parts):
            return
        kept = mode.meet(f"{_OPERAND}{layer}", branch)
        second = None if kept is None else Branch(kept, Snapshot.take(branch, met.copy), scale)
        self._meet(mode, f"{_PREFIX}{layer}", y, second)
        met.add_parts(layer, "sum", parts)

    def read_heads(self, mode: _Recorder, y: Tensor) -> None:
        """Read what attention returns, (..., heads, positions, width), and what each head contributes."""
        met = self._pass
        layer = met.layer(self._names_of)
        self._meet(mode, f"{_PREFIX}{layer}", y, heads=True)
        met.add_parts(layer, "attention", [f"head {k}" for k in range(y.shape[-3])])

    def source_of(self, one: Tensor) -> str:
        """Return the module that returned a tensor in this pass; "" if none did."""
        return str(self._pass.sources.get(one, ""))

    def _meet(self, mode: _Recorder, name: str, y: Tensor, branch: Branch | None = None, heads: bool = False) -> None:
        """Record a tensor of the sequences, or read the multipliers of one of the references as they come back."""
        kept = mode.meet(name, y)
        if kept is not None:
            self.reader.follow(y, kept, self._pass.copy, branch, heads)
        self._pass.add_place(y)

    def _set_names(self, met: PassRows) -> None:
        """Set the names after the first pass; those of every other pass have to be the same."""
        rows = met.kept_rows()
        names = row_names(rows, met.calls)
        if self.names:
            _require_equal(self.names, names)
        self.names, self._rows, self._places = names, rows, met.places

    @staticmethod
    def is_tap(name: str) -> bool:
        """Return whether an entry of a record is an output of a module."""
        return name.startswith(_PREFIX)

    def names_of_tensors(self) -> list[str]:
        """Return the first name of each tensor that is read."""
        first = {row.place: name for row, name in zip(reversed(self._rows), reversed(self.names), strict=True)}
        return [first.get(at, "a sum of a loop") for at in range(self._places)]

    def layouts_of_names(self) -> list[RowLayout]:
        """Return the layout of each output."""
        return [self.reader.layouts[row.place] for row in self._rows]

    def forget(self) -> None:
        """Forget names and layouts: the model is explained in another way from now on."""
        self.names, self._rows, self.reader.layouts = (), [], []

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

    def close(self, targets: int) -> tuple[Tensor, ...]:
        """Return what was found in this batch.

        Returns
        -------
        tuple of torch.Tensor
            For each name, if contributions are kept, their sum over references in float64, (sequences, targets, ...),
            and last the total of each pair, (sequences, targets, references, names).
        """
        found, sums = self.reader.close(targets)
        if self._reported:
            _require_equal(self._reported, self.names)
        self._reported = self.names
        # (targets, references, sequences, rows)
        totals = torch.stack([found[row.place][..., row.column] for row in self._rows], dim=-1)
        return *([sums[row.place] for row in self._rows] if self._keeps else ()), totals.permute(2, 0, 1, 3)


def calls_differ() -> UnsupportedOperation:
    """Return the error of a pass that met other modules than those before."""
    return UnsupportedOperation(
        "the modules that are called, or how often, differ between batches: contributions of layers need a model "
        "that calls the same ones for each; leave out layers."
    )


def _require_equal(before: tuple[str, ...], now: tuple[str, ...]) -> None:
    if now != before:
        raise calls_differ()
