"""Attributions of a fixed set of sequences at the end of an epoch or a validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import lightning.pytorch as L
from torch import Tensor, nn

from seqlight.attribution.references import References
from seqlight.errors import InputError
from seqlight.files.paths import as_path
from seqlight.prediction.batch_size import AskedBatchSize, require_batch_size
from seqlight.prediction.float32_precision import Precision, require_precision
from seqlight.sequence.checks import require_count
from seqlight.targets import Contrast, NamedTarget
from seqlight_callbacks.arguments import (
    InputFunction,
    read_baseline,
    require_choice,
    resolve_input_function,
    resolve_references,
    resolve_target,
    resolve_window,
)
from seqlight_callbacks.explainer import Explainer
from seqlight_callbacks.failures import OnError, prefix_errors
from seqlight_callbacks.methods import METHODS, Method, make_ledger
from seqlight_callbacks.probes import read_probes
from seqlight_callbacks.records import AttributionRecord, load_record_or_warn, record_name
from seqlight_callbacks.scalars import attribution_scalar_names, attribution_scalars
from seqlight_callbacks.schedule import Schedule
from seqlight_callbacks.scheduled_recorder import On, ScheduledRecorder
from seqlight_callbacks.trainer_state import require_whole_model, steps_trained, trainer_stage
from seqlight_callbacks.training_folder import TrainingFolder


class AttributionCallback(ScheduledRecorder):
    """Attribute the same sequences, against the same references, at each validation or at the end of each epoch.

    The training itself is unaffected: weights, gradients, modes and random generators are left as they were. All
    processes share the work. These numbers are logged as ``name/...``, so that ModelCheckpoint and EarlyStopping can
    monitor them:

    - ``delta`` and ``relative_delta``: how far sums of attributions are from the output differences;
    - ``magnitude``: the mean absolute attribution of a position;
    - ``entropy`` (nats) and ``effective_positions``: over how many positions a sequence's attribution is spread;
    - ``consistency`` (of four letters) and ``kmer_consistency``: how far directions of attributions cluster, and how
      special the k-mers under high attribution are (:mod:`seqlight.metrics`), for the maps as a whole;
    - ``standard_error`` and ``relative_standard_error`` of the attributions, over references;
    - ``similarity``: the mean cosine similarity to the record before, 0 for the first;
    - ``agreement``: the mean cosine similarity to `compare_with`, if that is given;
    - ``window_share``: the share of positive attribution inside `window`, if that is given.

    Methods without references have no ``delta`` and no ``standard_error``.

    Parameters
    ----------
    sequences : torch.Tensor of shape (sequences, letters, positions), or path
        One-hot, or a FASTA, npy, npz or pt file of such sequences.
    target : int, tuple of int, Contrast, NamedTarget, torch.Tensor, callable or str
        What to explain: a single target of :func:`seqlight.attribute`, or a text for :func:`seqlight.targets.parse`.
    module : str, optional
        The submodule to explain, such as ``"model"``, called as ``model(X)``; None for the LightningModule itself.
    inputs : callable or str, optional
        A function, or its dotted path, that turns one-hot sequences X in float into what the model takes: a tensor of
        another shape or a dict, for ``model(inputs(X))``, or a tuple, for ``model(*inputs(X))``. It must treat each
        row by itself, with differentiable operations. Attributions are still those of the sequences.
    head : str or int, optional
        The output to explain of a model that returns a dict, a tuple or an object: its key, index or attribute.
    method : "deep_lift_shap", "integrated_gradients", "input_x_gradient" or "ism"
        The attribution method; "ism" is :func:`seqlight.saturation_mutagenesis`.
    references : "dinucleotide_shuffle", "shuffle", callable, torch.Tensor or path
        As in :func:`seqlight.deep_lift_shap`, or a file with an array of shape (sequences, references, letters,
        positions); drawn once.
    n_shuffles : int
        References per sequence, if they are drawn.
    random_state : int
        The seed of the references.
    on : "validation", "train" or "test"
        When to attribute: at the end of each validation, of which an epoch may have several, each training epoch, or
        each test. ``trainer.validate`` and ``trainer.test`` on their own count too.
    every_n_epochs : int
        Only in every n-th epoch.
    every_n_validations : int
        Only at every n-th validation, counted from the beginning of the training.
    untrained : bool
        Attribute once more before the first step, as epoch 0. That record is kept and written, but not logged.
    batch_size : int or "auto"
        Pairs of sequence and reference at a time, or sequences or mutants. "auto": 256 on the CPU, what fits on a GPU.
    precision : "tf32", optional
        As in :func:`seqlight.deep_lift_shap`.
    window : two int, optional
        Where attribution is expected, ``start <= position < end``.
    compare_with : torch.Tensor of shape (sequences, letters, positions), or path, optional
        Attributions to compare every record with; the file may be a record that such a callback wrote.
    out : str or pathlib.Path, optional
        A folder for a file per record, ``epoch-001-step-00000012.npz``, written by the first process. A resumed
        training reads from it the record to compare its first one with.
    name : str
        The prefix of what is logged, different for each callback of this class.
    on_error : "warn" or "raise"
        What happens on an error in the middle of ``trainer.fit``, such as a full disk, in this callback or in those
        that use its records: a warning that names the record, and NaN for its numbers, or the end of the training.
    layers : bool
        Also keep the ledger of each record, :attr:`seqlight.Explanation.ledger`: which share of the output differences
        goes through each module. With `out` it is a file beside the record, ``epoch-001-step-00000012-ledger.csv``.
        Names are those of the module that is explained. "deep_lift_shap" alone has one.

    Attributes
    ----------
    record : AttributionRecord or None
        The last record.

    Raises
    ------
    InputError
        If an argument cannot be used, when the callback is made; if another callback has the same name or folder, or
        the strategy shards the model, when the Trainer starts; if the model does not take the sequences, or has no
        such target, before the first step.

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
        # Callable before Tensor in the union: LightningCLI would take a function that returns a tensor for a factory.
        target: NamedTarget | Contrast | int | tuple[int, ...] | Callable[[Any], Tensor] | Tensor | str = 0,
        *,
        module: str | None = None,
        inputs: InputFunction | str | None = None,
        head: str | int | None = None,
        method: Method = "deep_lift_shap",
        references: Callable[..., Any] | Tensor | str | Path = "dinucleotide_shuffle",
        n_shuffles: int = 20,
        random_state: int = 0,
        on: On = "validation",
        every_n_epochs: int = 1,
        every_n_validations: int = 1,
        untrained: bool = False,
        batch_size: AskedBatchSize = "auto",
        precision: Precision = None,
        window: Sequence[int] | None = None,
        compare_with: Tensor | str | Path | None = None,
        out: str | Path | None = None,
        name: str = "attribution",
        on_error: OnError = "warn",
        layers: bool = False,
    ) -> None:
        super().__init__(untrained)
        self.name, self.module, self.head = name, module, head
        with prefix_errors(lambda: self.label):
            require_choice(method, METHODS, "method")
            require_choice(on, get_args(On), "on")
            require_choice(on_error, get_args(OnError), "on_error")
            if not isinstance(layers, bool):
                raise InputError(f"layers is {layers!r}: expected True for the ledger of all modules, or False.")
            if layers and method != "deep_lift_shap":
                raise InputError(f"layers is given with method {method!r}: only 'deep_lift_shap' has a ledger.")
            self.method: Method = method
            self.on: On = on
            self.on_error: OnError = on_error
            # Copies, so that a caller's later changes to its tensors do not change what is compared.
            self.sequences, self.sequence_names = read_probes(sequences)
            n = require_count(n_shuffles, "n_shuffles", least=1)
            drawn = References(resolve_references(references), self.sequences, n, random_state).draw(
                0, len(self.sequences)
            )
            self.references = drawn.detach().cpu().clone()
            self.target = resolve_target(target, len(self.sequences))
            self.inputs = resolve_input_function(inputs)
            self.batch_size = require_batch_size(batch_size)
            self.schedule = Schedule(every_n_epochs, every_n_validations, on)
            self.window = resolve_window(window, self.sequences.shape[2])
            self.compare_with = read_baseline(compare_with, self.sequences)
            self._explainer = Explainer(
                method,
                self.sequences,
                self.references,
                self.target,
                module,
                head,
                self.inputs,
                self.batch_size,
                require_precision(precision),
                layers,
            )
            self.out = None if out is None else as_path(out, "out")
        self.folder = None if self.out is None else TrainingFolder(self.out, ".npz", "records")
        self.record: AttributionRecord | None = None

    def describe(self) -> str:
        """Return what it does, in a phrase."""
        out = "" if self.out is None else f", into {str(self.out)!r}"
        return f"{self._explainer}, {self.schedule}{out}"

    def scalar_names(self) -> list[str]:
        """Return the names of the numbers that it logs for every record."""
        return attribution_scalar_names(self.method, self.references, self.compare_with, self.window)

    def state_dict(self) -> dict[str, Any]:
        """Return the epoch and step of the last record, and the counts of the schedule, as plain numbers."""
        last = {} if self.record is None else {"epoch": self.record.epoch, "step": self.record.step}
        return last | self.schedule.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Read the last record from `out`, if it is there and is of these sequences."""
        self.schedule.load_state_dict(state_dict)
        if self.out is None or "epoch" not in state_dict:
            return
        path = self.out / f"{record_name(state_dict['epoch'], state_dict.get('step'))}.npz"
        if path.exists():
            record = load_record_or_warn(path)
            fits = record is not None and record.attributions.shape == self.sequences.shape
            self.record = record if fits else None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Refuse a Trainer or a model that cannot be attributed, and a folder that cannot be written to."""
        super().setup(trainer, pl_module, stage)
        with prefix_errors(lambda: self.label):
            require_whole_model(trainer)
            self._explainer.select_model(pl_module)
            if self.folder is not None:
                self.folder.require_writable()

    def check_model(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Raise SeqlightError if the model does not take the sequences, or has no such target."""
        self._explainer.check_model(trainer, pl_module, self.label)

    def select_model(self, pl_module: L.LightningModule) -> nn.Module:
        """Return the model that is explained, with `inputs` before it and `head` behind it."""
        return self._explainer.select_model(pl_module)

    def compute_record(self, trainer: L.Trainer, pl_module: L.LightningModule, epoch: int) -> AttributionRecord:
        """Return a record of the model as it is now, computed by all processes together."""
        result = self._explainer.explain(trainer, pl_module, self.label)
        fields = {name: one for name, one in result._asdict().items() if not name.startswith("layer_")}
        step, stage = steps_trained(trainer), trainer_stage(trainer)
        return AttributionRecord(epoch, **fields, step=step, stage=stage, ledger=make_ledger(result))

    def scalars(self, record: AttributionRecord) -> dict[str, float]:
        """Return the numbers to log for a new record."""
        return attribution_scalars(record, self.record, self.compare_with, self.window, self.sequences)
