"""Attributions of a fixed set of sequences at the end of an epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import lightning.pytorch as L
from torch import Tensor

from seqlight.attribution.references import References
from seqlight.attribution.targets import Contrast
from seqlight.files.paths import as_path
from seqlight.lit.collectives import run_on_first_rank
from seqlight.lit.lightning_packages import lightning_classes
from seqlight.sequence.checks import require_count
from seqlight_callbacks.arguments import (
    Inputs,
    as_attributions,
    as_inputs,
    as_single,
    as_source,
    as_window,
    require_one_of,
)
from seqlight_callbacks.explainer import Explainer
from seqlight_callbacks.failures import OnError, prefix_errors, run_or_warn
from seqlight_callbacks.methods import METHODS, Method
from seqlight_callbacks.probes import read_probes
from seqlight_callbacks.recorder import Log, Recorder
from seqlight_callbacks.records import AttributionRecord, load_whole, name_of, save
from seqlight_callbacks.scalars import names_of, numbers_of
from seqlight_callbacks.schedule import Schedule
from seqlight_callbacks.trainer_state import (
    before,
    epochs_trained,
    fitting,
    idle,
    log_numbers,
    require_whole_model,
    stage,
    steps_trained,
)
from seqlight_callbacks.training_folder import Folder

On = Literal["validation", "train", "test"]


class AttributionCallback(Recorder):
    """Attribute the same sequences against the same references at each validation, or whenever an epoch ends.

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
    inputs : callable or str, optional
        Makes what it is called with instead, ``model(inputs(X))``, of sequences X as float one-hot rows: a tensor of
        another shape, a dict, or a tuple, as in ``model(*inputs(X))``. A function of each row alone, with operations
        that have a gradient, or its dotted path. Attributions are of the sequences, through the function.
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
        At the end of which epochs: at each validation, several of which may lie in an epoch of training. Also
        by ``trainer.validate`` and ``trainer.test`` alone.
    every_n_epochs : int
        How often: in the epoch of this number, of twice the number, and so on.
    every_n_validations : int
        Of the validations, counted from the beginning of the training, every so many; beside `every_n_epochs`.
    untrained : bool
        Attribute once more before the first step, as epoch 0. That record is kept and written, not logged.
    batch_size : int
        Pairs of sequence and reference at a time; sequences or mutants, for a method that compares with nothing.
    window : two int, optional
        Where the attribution is hoped to be, ``start <= position < end``.
    compare_with : torch.Tensor of shape (sequences, letters, positions), or path, optional
        Attributions to compare each record with; a file may be one that such a callback wrote.
    out : str or pathlib.Path, optional
        A folder for one ``epoch-001-step-00000012.npz`` each record, written by the first process. A resumed training
        finds there what its first is compared with.
    name : str
        The prefix of what is logged, one for each callback of this kind.
    on_error : "warn" or "raise"
        What becomes of an error in the middle of ``trainer.fit``, such as a full disk, here or in what follows
        this one: a warning that names the record, whose numbers are logged as NaN, or the end of the training.

    Attributes
    ----------
    record : AttributionRecord or None
        The last.

    Raises
    ------
    InputError
        If an argument cannot be used, when the callback is made; if another callback has the same name or folder, or
        the model is cut into pieces, when the Trainer starts; if the model does not take the sequences, or has no such
        target, before the first step.

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
        inputs: Inputs | str | None = None,
        head: str | int | None = None,
        method: Method = "deep_lift_shap",
        references: Callable[..., Any] | Tensor | str | Path = "dinucleotide_shuffle",
        n_shuffles: int = 20,
        random_state: int = 0,
        on: On = "validation",
        every_n_epochs: int = 1,
        every_n_validations: int = 1,
        untrained: bool = False,
        batch_size: int = 256,
        window: Sequence[int] | None = None,
        compare_with: Tensor | str | Path | None = None,
        out: str | Path | None = None,
        name: str = "attribution",
        on_error: OnError = "warn",
    ) -> None:
        super().__init__()
        self.name, self.module, self.head = name, module, head
        with prefix_errors(lambda: self.who):
            require_one_of(method, METHODS, "method")
            require_one_of(on, get_args(On), "on")
            require_one_of(on_error, get_args(OnError), "on_error")
            self.method: Method = method
            self.on: On = on
            self.on_error: OnError = on_error
            # Copies: what a caller does with its tensors afterwards must not change what is compared.
            self.sequences, self.sequence_names = read_probes(sequences)
            n = require_count(n_shuffles, "n_shuffles", least=1)
            drawn = References(as_source(references), self.sequences, n, random_state).draw(0, len(self.sequences))
            self.references = drawn.detach().cpu().clone()
            self.target = as_single(target, len(self.sequences))
            self.inputs = as_inputs(inputs)
            self.batch_size = require_count(batch_size, "batch_size", least=1)
            self.schedule = Schedule(every_n_epochs, every_n_validations, on)
            self.window = as_window(window, self.sequences.shape[2])
            self.compare_with = as_attributions(compare_with, self.sequences)
            self._explainer = Explainer(
                method, self.sequences, self.references, self.target, module, head, self.inputs, self.batch_size
            )
            self.out = None if out is None else as_path(out, "out")
        self.untrained = untrained
        self._folder = None if self.out is None else Folder(self.out, ".npz", "records")
        self.record: AttributionRecord | None = None
        self._behind_averaging = False

    def does(self) -> str:
        """Return what it does, in a phrase."""
        out = "" if self.out is None else f", into {str(self.out)!r}"
        return f"{self._explainer}, {self.schedule}{out}"

    def names(self) -> list[str]:
        """Return the names of the numbers that every record has."""
        return names_of(self.method, self.references, self.compare_with, self.window)

    def state_dict(self) -> dict[str, Any]:
        """Return which record was the last, and what was counted: numbers, which every checkpoint can hold."""
        last = {} if self.record is None else {"epoch": self.record.epoch, "step": self.record.step}
        return last | self.schedule.state()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Read the last record back, where it was written and is of these sequences."""
        self.schedule.load(state_dict)
        if self.out is None or "epoch" not in state_dict:
            return
        path = self.out / f"{name_of(state_dict['epoch'], state_dict.get('step'))}.npz"
        if path.exists():
            record = load_whole(path)
            fits = record is not None and record.attributions.shape == self.sequences.shape
            self.record = record if fits else None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Refuse what cannot be attributed."""
        super().setup(trainer, pl_module, stage)
        with prefix_errors(lambda: self.who):
            require_whole_model(trainer)
            self._explainer.model(pl_module)
            if self._folder is not None:
                self._folder.require()
        # Behind it, the averaged weights that are validated are there when validation starts, and gone when it ends.
        self._behind_averaging = any(
            isinstance(other, lightning_classes("callbacks.WeightAveraging")) for other in before(trainer, self)
        )

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Attribute the untrained model, if that is asked for; find out now what would fail after an epoch."""
        if self.on == "test":
            return
        self._explainer.rehearse(trainer, pl_module, self.who)
        if idle(trainer):
            return
        if self._folder is not None and trainer.is_global_zero:
            self._folder.begin(resumed=bool(steps_trained(trainer)))
        self.schedule.begin(self.who, trainer.enable_validation)
        if self.untrained and steps_trained(trainer) == 0:
            record = self._recorded(trainer, pl_module, 0)
            self._keep(trainer, record)
            self.tell(trainer, record, lambda name, numbers: None, "raise")

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say so if nothing was attributed, which nobody would see."""
        if not idle(trainer) and trainer.is_global_zero:
            self.schedule.end(self.who)

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
        epoch, step = epochs_trained(trainer), steps_trained(trainer)
        if idle(trainer) or (fitting(trainer) and not self.schedule.due(epoch, step)):
            return
        logged: set[str] = set()

        def log(name: str, numbers: Mapping[str, float]) -> None:
            log_numbers(pl_module, name, numbers)
            logged.add(name)

        lost = f"{self.who} has no record of epoch {epoch}, step {step}"
        run_or_warn(trainer, self.on_error, lost, lambda: self._record(trainer, pl_module, epoch, log))
        # What was not computed must not stand there with its last value, and decide on a checkpoint, nor be missing.
        for one in (self, *self.followers(trainer)):
            if one.name not in logged:
                log(one.name, dict.fromkeys(one.names(), float("nan")))

    def _record(self, trainer: L.Trainer, pl_module: L.LightningModule, epoch: int, log: Log) -> None:
        last, record = self.record, self._recorded(trainer, pl_module, epoch)
        log(self.name, numbers_of(record, last, self.compare_with, self.window))
        lost = f"{self.who} did not write the record of {record.when}"
        run_or_warn(trainer, self.on_error, lost, lambda: self._keep(trainer, record))
        self.tell(trainer, record, log, self.on_error)

    def _recorded(self, trainer: L.Trainer, pl_module: L.LightningModule, epoch: int) -> AttributionRecord:
        found = self._explainer.found(trainer, pl_module, self.who)
        return AttributionRecord(epoch, *found, step=steps_trained(trainer), stage=stage(trainer))

    def _keep(self, trainer: L.Trainer, record: AttributionRecord) -> None:
        self.record = record
        folder = self._folder
        if folder is not None:
            # One process writes; if it cannot, none waits for it.
            run_on_first_rank(trainer, lambda: save(record, folder.file(record.name)))
