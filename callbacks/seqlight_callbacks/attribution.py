"""Attributions of a fixed set of sequences at the end of an epoch."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import lightning.pytorch as L
import torch
from torch import Tensor

from seqlight.attribution.references import ReferenceFunction, References
from seqlight.attribution.targets import Contrast, One, Targets
from seqlight.errors import InputError, SeqlightWarning
from seqlight.lit.packages import kinds
from seqlight.lit.ranks import shared, together
from seqlight.metrics.attribution import require_window
from seqlight.sequence.checks import require_count
from seqlight.sequence.shuffles import dinucleotide_shuffle, shuffle
from seqlight_callbacks.following import Recorder
from seqlight_callbacks.inputs import read_array, read_probes
from seqlight_callbacks.methods import METHODS, Found, Method, explain, joined
from seqlight_callbacks.models import explained
from seqlight_callbacks.numbers import numbers_of
from seqlight_callbacks.records import AttributionRecord, load, save, tell_of_others
from seqlight_callbacks.trainers import (
    before,
    epochs_trained,
    fitting,
    idle,
    log_numbers,
    require_whole_model,
)

On = Literal["validation", "train", "test"]
SHUFFLES: dict[str, ReferenceFunction] = {"dinucleotide_shuffle": dinucleotide_shuffle, "shuffle": shuffle}


class AttributionCallback(Recorder):
    """Attribute the same sequences against the same references whenever an epoch ends.

    The training does not notice: weights, gradients, modes and random generators are as before. The work is shared
    among all processes. The numbers are logged behind ``name/``, and so open to ModelCheckpoint and EarlyStopping:

    - ``delta`` and ``relative_delta``: how far sums of attributions are from the output differences;
    - ``magnitude``: the mean absolute attribution of a position;
    - ``entropy`` (nats) and ``effective_positions``: over how many positions a sequence's attribution is spread;
    - ``standard_error`` and ``relative_standard_error``: of the attributions, over references;
    - ``similarity``: the mean cosine to the record before, 0 for the first;
    - ``agreement``: the mean cosine to `compare_with`, if that is given;
    - ``window_share``: the share of positive attribution inside `window`, if that is given.

    Methods that compare with nothing have no ``delta`` and no ``standard_error``.

    Parameters
    ----------
    sequences : torch.Tensor of shape (sequences, letters, positions), or path
        One-hot, or a FASTA, npy, npz or pt file of them.
    target : int, tuple of int, Contrast, torch.Tensor or callable
        What to explain, a single target of :func:`seqlight.attribute`.
    module : str, optional
        Which submodule to explain, as in ``"model"``, called as ``model(X)``; None for the LightningModule itself.
    head : str or int, optional
        Which output of a model that returns a dict, a tuple or an object: its key, place or attribute.
    method : "deep_lift_shap", "integrated_gradients", "input_x_gradient" or "ism"
        How to attribute; the last is :func:`seqlight.saturation_mutagenesis`.
    references : "dinucleotide_shuffle", "shuffle", callable, torch.Tensor or path
        As in :func:`seqlight.deep_lift_shap`, or a file of an array of shape (sequences, references, letters,
        positions); drawn once.
    n_shuffles : int
        References a sequence, where they are drawn.
    random_state : int
        The seed of the references.
    on : "validation", "train" or "test"
        At the end of which epochs. ``trainer.validate`` and ``trainer.test`` count as one.
    every_n_epochs : int
        How often: after this many epochs, after twice as many, and so on.
    untrained : bool
        Attribute once more before the first step, as epoch 0. That record is kept and written, not logged.
    batch_size : int
        Pairs of sequence and reference at a time; sequences or mutants, for a method that compares with nothing.
    window : two int, optional
        Where the attribution is hoped to be, ``start <= position < end``.
    compare_with : torch.Tensor of shape (sequences, letters, positions), or path, optional
        Attributions to compare each record with; a file may be one that such a callback wrote.
    out : str or pathlib.Path, optional
        A folder for one ``epoch-000.npz`` each epoch, written by the first process. A resumed training
        finds there what its first epoch is compared with.
    name : str
        The prefix of what is logged, one for each callback of this kind.

    Attributes
    ----------
    record : AttributionRecord or None
        The last.

    Raises
    ------
    InputError
        If an argument cannot be used, when the callback is made; if another callback has the same name, or the
        model is cut into pieces, when the Trainer starts; if the model has no such target, before the first step.

    Examples
    --------
    >>> import seqlight as sl
    >>> from seqlight_callbacks import AttributionCallback
    >>> callback = AttributionCallback(sl.random_one_hot((8, 4, 60), random_state=0), n_shuffles=5)
    >>> callback.references.shape
    torch.Size([8, 5, 4, 60])
    """

    def __init__(
        self,
        sequences: Tensor | str | Path,
        # Functions before tensors: a function that returns a tensor is taken by LightningCLI for a maker of one.
        target: int | tuple[int, ...] | Callable[[Any], Tensor] | Contrast | Tensor = 0,
        *,
        module: str | None = None,
        head: str | int | None = None,
        method: Method = "deep_lift_shap",
        references: Callable[..., Any] | Tensor | str | Path = "dinucleotide_shuffle",
        n_shuffles: int = 20,
        random_state: int = 0,
        on: On = "validation",
        every_n_epochs: int = 1,
        untrained: bool = False,
        batch_size: int = 256,
        window: Sequence[int] | None = None,
        compare_with: Tensor | str | Path | None = None,
        out: str | Path | None = None,
        name: str = "attribution",
    ) -> None:
        super().__init__()
        _require_one_of(method, METHODS, "method")
        _require_one_of(on, get_args(On), "on")
        self.name, self.module, self.head = name, module, head
        self.method: Method = method
        self.on: On = on
        # Copies: what a caller does with its tensors afterwards must not change what is compared.
        self.sequences, self.sequence_names = read_probes(sequences)
        n = require_count(n_shuffles, "n_shuffles", least=1)
        drawn = References(_source(references), self.sequences, n, random_state).of(0, len(self.sequences))
        self.references = drawn.detach().cpu().clone()
        self.target = _single(target, len(self.sequences))
        self.batch_size = require_count(batch_size, "batch_size", least=1)
        self.every_n_epochs = require_count(every_n_epochs, "every_n_epochs", least=1)
        self.window = None if window is None else _as_window(window, self.sequences.shape[2])
        self.compare_with = None if compare_with is None else _alike(compare_with, self.sequences)
        self.untrained = untrained
        self.out = None if out is None else Path(out)
        self.record: AttributionRecord | None = None
        self._behind_averaging = False

    def state_dict(self) -> dict[str, Any]:
        """Return which record was the last: a number, which every checkpoint can hold."""
        return {} if self.record is None else {"epoch": self.record.epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Read the last record back, where it was written and is of these sequences."""
        path = None if self.out is None or "epoch" not in state_dict else self._path(state_dict["epoch"])
        if path is not None and path.exists():
            record = load(path)
            self.record = record if record.attributions.shape == self.sequences.shape else None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Refuse what cannot be attributed."""
        super().setup(trainer, pl_module, stage)
        require_whole_model(trainer)
        explained(pl_module, self.module, self.head)
        # Behind it, the averaged weights that are validated are there when validation starts, and gone when it ends.
        self._behind_averaging = any(
            isinstance(other, kinds("callbacks.WeightAveraging")) for other in before(trainer, self)
        )

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Attribute the untrained model, if that is asked for; find out now what would fail after an epoch."""
        if idle(trainer) or self.on == "test":
            return
        if self.out is not None and trainer.is_global_zero and not trainer.global_step:
            tell_of_others(self.out)
        if self.on == "validation" and not trainer.enable_validation:
            warnings.warn(
                f"the Trainer validates nothing, so AttributionCallback {self.name!r} will do nothing: "
                "pass validation data to fit, or on='train'.",
                SeqlightWarning,
                stacklevel=2,
            )
        if self.untrained and trainer.global_step == 0:
            record = self._recorded(trainer, pl_module, 0)
            self._keep(trainer, record)
            self.tell(trainer, record, lambda name, numbers: None)
        else:
            together(trainer, lambda: self._rehearse(pl_module))

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Attribute, where the weights that are validated are gone when validation ends."""
        if self.on == "validation" and self._behind_averaging:
            self._watch(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Attribute, where that was not done at the start."""
        if self.on == "validation" and not self._behind_averaging:
            self._watch(trainer, pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Attribute, if that is asked for."""
        if self.on == "train":
            self._watch(trainer, pl_module)

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Attribute, if that is asked for."""
        if self.on == "test":
            self._watch(trainer, pl_module)

    def _watch(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Attribute, log, keep the record, and give it to those that follow."""
        epoch = epochs_trained(trainer)
        if idle(trainer) or (fitting(trainer) and epoch % self.every_n_epochs):
            return

        def log(name: str, numbers: Mapping[str, float]) -> None:
            log_numbers(pl_module, name, numbers)

        last, record = self.record, self._recorded(trainer, pl_module, epoch)
        log(self.name, numbers_of(record, last, self.compare_with, self.window))
        self._keep(trainer, record)
        self.tell(trainer, record, log)

    def _rehearse(self, pl_module: L.LightningModule) -> None:
        with torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._explained(pl_module, [0], self.references[:1, :1])

    def _recorded(self, trainer: L.Trainer, pl_module: L.LightningModule, epoch: int) -> AttributionRecord:
        def work(rows: Sequence[int]) -> Found:
            return self._explained(pl_module, rows, self.references[rows])

        # trainer.validate is in inference mode, whose tensors no gradient may meet: not here, and not in the record.
        with torch.inference_mode(False), torch.no_grad():
            parts = shared(trainer, len(self.sequences), work)
        order = torch.tensor([row for rows, _ in parts for row in rows]).argsort()
        return AttributionRecord(epoch, *joined([found for _, found in parts], order))

    def _explained(self, pl_module: L.LightningModule, rows: Sequence[int], references: Tensor) -> Found:
        target: One = self.target[rows] if isinstance(self.target, Tensor) else self.target
        X, model = self.sequences[rows], explained(pl_module, self.module, self.head)
        return explain(self.method, model, X, references, target, self.batch_size, pl_module.device)

    def _path(self, epoch: int) -> Path:
        assert self.out is not None
        return self.out / f"epoch-{epoch:03d}.npz"

    def _keep(self, trainer: L.Trainer, record: AttributionRecord) -> None:
        self.record = record
        if self.out is not None:
            # One process writes; if it cannot, none waits for it.
            together(trainer, lambda: save(record, self._path(record.epoch)) if trainer.is_global_zero else None)


def _require_one_of(value: object, there: Sequence[str], name: str) -> None:
    if value not in there:
        raise InputError(f"{name} is {value!r}: expected one of {', '.join(map(repr, there))}.")


def _source(references: str | Path | Tensor | ReferenceFunction) -> Tensor | ReferenceFunction:
    if isinstance(references, str) and references in SHUFFLES:
        return SHUFFLES[references]
    return read_array(references, "references", "references") if isinstance(references, str | Path) else references


def _single(target: One, n: int) -> One:
    if isinstance(target, list):
        raise InputError("target is a list: one callback explains one target, so give each a callback of its own.")
    return Targets(target, n).each[0]


def _as_window(window: Sequence[int], positions: int) -> tuple[int, int]:
    if len(window) != 2:
        raise InputError(f"window is {window!r}: expected two numbers, start and end.")
    return require_window(*window, positions=positions)


def _alike(source: Tensor | str | Path, sequences: Tensor) -> Tensor:
    found = read_array(source, "compare_with", "attributions").detach().cpu().clone()
    if found.shape != sequences.shape:
        raise InputError(
            f"compare_with has shape {tuple(found.shape)}: expected that of the sequences, {tuple(sequences.shape)}."
        )
    return found
