"""Explain a model and its hidden layers: the contributions of what some modules return, in the same two passes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from seqlight.attribution.calls.record import Record, Snapshot
from seqlight.attribution.calls.retry import LayoutUnknown, Retry
from seqlight.attribution.contributions import Block, Pairs
from seqlight.attribution.engine.layer_contributions import LayerReduction
from seqlight.attribution.engine.layer_taps import LayerTaps, calls_differ
from seqlight.attribution.engine.passes import sequence_pass
from seqlight.attribution.engine.row_layout import RowLayout, find_row_layout
from seqlight.attribution.explainer import Explainer
from seqlight.attribution.targets import Targets
from seqlight.errors import InputError, SeqlightError, kind_of
from seqlight.prediction.batch_size import BatchSize
from seqlight.prediction.device_memory import is_out_of_memory
from seqlight.prediction.ensemble import Ensemble
from seqlight.prediction.model_wrapper import unwrap_model

# Modules by their names, or True for all of them.
Layers: TypeAlias = Sequence[str] | bool


class LayerExplainer(Explainer):
    """Explains a model as Explainer does, and reads contributions of layers as they come by.

    Parameters
    ----------
    model, inputs, args, targets, size
        As in :class:`seqlight.attribution.explainer.Explainer`.
    taps : LayerTaps
        Says which modules, and what is kept of them.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Sequence[Tensor],
        args: Sequence[Any],
        targets: Targets,
        size: BatchSize,
        taps: LayerTaps,
    ) -> None:
        super().__init__(model, inputs, args, targets, size)
        self.taps = self.policy.taps = taps
        self.begin_target = taps.reader.begin_target
        self._state: tuple[object, ...] | None = None  # of the policy under which the names were found
        self._runs_for_layouts = False  # because shapes alone do not tell
        self._ran_in: tuple[object, ...] | None = None  # the state in which it did

    def launch(self, pairs: Pairs) -> Block:
        """Make both passes as :meth:`Explainer.launch` does; a single reference has the shapes of its sequence."""
        self._runs_for_layouts |= pairs.references[0].shape[1] == 1
        return super().launch(pairs)

    def _revise(self, pairs: Pairs, reason: Exception) -> None:
        if isinstance(reason, LayoutUnknown) and self._ran_in != self.policy.state:
            self._runs_for_layouts, self._state = True, None
            return
        super()._revise(pairs, calls_differ() if isinstance(reason, LayoutUnknown) else reason)

    def _record_sequences(self, first: int, last: int, copies: int) -> Record:
        if self._state != self.policy.state:
            self.taps.forget()
            if self._runs_for_layouts:
                self._find_layouts(first)
                self._ran_in = self.policy.state
            self._state = self.policy.state
        record = super()._record_sequences(first, last, copies)
        self.taps.require_all()
        return record

    def _explain_batch(self, first: int, last: int, references: Sequence[Tensor], record: Record) -> Block:
        self.taps.reader.open(last - first)
        block = super()._explain_batch(first, last, references, record)
        return replace(block, layers=self.taps.close(block.outputs.shape[1]))

    def _find_layouts(self, i: int) -> None:
        """Find out where the rows lie in what modules return: from a sequence alone, and from it and another one."""
        rows = self.model_inputs.rows(i, i + 1)
        others = [one.flip(-1).roll(1, 1) if one.ndim > 2 else one.flip(-1) for one in rows]
        alone = self._activations(i, rows)
        self.taps.require_all()
        try:
            both = self._activations(i, [torch.cat([a, b]) for a, b in zip(rows, others, strict=True)])
        except (Retry, SeqlightError):
            raise
        except Exception as error:  # a model that takes a single sequence
            if is_out_of_memory(error):
                raise
            layouts = [RowLayout(0, len(one)) for one in alone]
        else:
            names = self.taps.names_of_tensors()
            layouts = [find_row_layout(a, b, name) for a, b, name in zip(alone, both, names, strict=True)]
        if not all(one.is_major for one in layouts):
            self.lookahead.stop()  # it would cut their records between rows
        self.taps.reader.layouts = layouts

    def _activations(self, i: int, rows: Sequence[Tensor]) -> list[Tensor]:
        """Return what the modules return for rows that have the further inputs of sequence `i`."""
        forward = self.make_forward(i, i + 1, len(rows[0]))
        with sequence_pass(self.model, rows, self.policy) as this:
            this.output = forward(*this.inputs)
        # A tensor that was overwritten since is as good here.
        return [
            kept.tensor for name, kept in this.record.calls if self.taps.is_tap(name) and isinstance(kept, Snapshot)
        ]


def make_taps(model: nn.Module, layers: Layers, reduction: LayerReduction | None) -> LayerTaps:
    """Return the taps of some modules of a model, or of all; InputError if a name is not that of a module."""
    if isinstance(model, Ensemble):
        raise InputError("layers is given for an Ensemble, whose members have their own: explain one member at a time.")
    model = unwrap_model(model)
    modules = dict(model.named_modules())
    del modules[""]
    if isinstance(layers, bool):
        if reduction is not None:
            raise InputError("reduce is given with layers=True, which keeps totals alone: name modules in layers.")
        return LayerTaps(modules, keeps=False, parts=True)
    if isinstance(layers, str) or not isinstance(layers, Sequence) or not layers:
        raise InputError(f"layers is {layers!r}: expected a list with the names of modules, or True for all of them.")
    named: Mapping[str, nn.Module] = dict(model.named_modules(remove_duplicate=False))
    chosen: dict[str, nn.Module] = {}
    for name in layers:
        if name not in named or not name:
            raise _no_module(name, modules)
        if any(one is named[name] for one in chosen.values()):
            raise InputError(f"layers names {name!r}, which is named before: name each module once.")
        chosen[name] = named[name]
    if reduction is not None and not callable(reduction):
        raise InputError(f"reduce is {kind_of(reduction)}: expected a function of contributions (pairs, ...).")
    return LayerTaps(chosen, reduction=reduction)


def _no_module(name: str, modules: Iterable[str]) -> InputError:
    """Return the error of a name that no module has; that of an output, as it is printed, is told apart."""
    printed = [one for one in modules if str(name).startswith((f"{one}#", f"{one}[", f"{one}: "))]
    if printed:
        whole = max(printed, key=len)
        return InputError(f"layers names {name!r}, which is an output of the module {whole!r}: ask for {whole!r}.")
    inner = [one for one in modules if one.endswith(f".{name}")]  # of a module around the model, as Lightning's is
    if inner:
        return InputError(f"layers names {name!r}, which is no module of the model: expected {inner[0]!r}.")
    near = ", ".join(repr(one) for one in list(modules)[:5])
    return InputError(f"layers names {name!r}, which is no module of the model: its modules are {near}, ...")
