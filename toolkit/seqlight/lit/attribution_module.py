"""DeepLIFT/SHAP of any model, as a LightningModule for ``trainer.predict``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence, Sized
from typing import Any, Literal

import lightning.pytorch as L
import numpy as np
import torch
from torch import Tensor, nn

from seqlight.attribution.contributions import Block
from seqlight.attribution.convergence import ConvergenceCheck, DeltaPolicy
from seqlight.attribution.ensemble_explainer import make_explainer
from seqlight.attribution.explanation_builder import build_explanation
from seqlight.attribution.layer_explainer import LayerExplainer, make_taps
from seqlight.attribution.reference_count import ReferenceSampler, warn_of_uncertain
from seqlight.attribution.references import ReferenceFunction, References, warn_of_unchanged
from seqlight.attribution.targets import Targets
from seqlight.errors import InputError
from seqlight.lit.kept_arrays import kept_arrays, require_kept
from seqlight.lit.model_factory import as_model
from seqlight.lit.row_arguments import require_rows, select_rows, target_of_rows
from seqlight.lit.row_batches import RowBatch, model_inputs
from seqlight.prediction.arguments import as_dtype, require_inputs
from seqlight.prediction.batch_size import AskedBatchSize, BatchSize, require_batch_size
from seqlight.prediction.float32_precision import Precision, hold_precision, require_precision
from seqlight.prediction.inputs import InputConversion
from seqlight.results.fingerprints import describe_argument, require_identity
from seqlight.results.results import Results
from seqlight.sequence.checks import require_count
from seqlight.sequence.shuffles import dinucleotide_shuffle
from seqlight.targets.contrast import Target
from seqlight.targets.named_target import NamedTarget
from seqlight.targets.registry import as_target


class DeepLiftShapModule(L.LightningModule):
    """Attributes the output of any model on any number of devices: ``trainer.predict(DeepLiftShapModule(model), ...)``.

    The results for a row depend neither on its batch nor on its process nor on the number of processes: reference k of
    each sequence has the seed ``random_state + k``, and with "auto" each sequence has its own number of references.
    Gradients are on and autocast is off, whatever the Trainer is set to; half precision needs `dtype`.

    The result of a batch is a dict. ``attributions``, ``outputs``, ``reference_outputs`` and ``deltas`` are as in
    :class:`seqlight.Explanation`; with `hypothetical` it also holds ``hypothetical`` and ``sequences`` (int8), with
    "auto" ``n_references``, and whatever `keep` names.

    Parameters
    ----------
    model : torch.nn.Module or str
        Called as ``model(X, *args)``; or the name of its class, ``"package.module.Class"``.
    target : int, tuple of int, torch.Tensor, callable, Contrast, or list of these
        What to explain, as in :func:`seqlight.attribute`. A tensor holds a number for each row of the data set. A text
        is read by :func:`seqlight.targets.parse`.
    n_shuffles : int or "auto"
        References for each sequence; with "auto" as many as `tolerance` requires, up to `max_shuffles`.
    random_state : int
        The seed of the first reference.
    hypothetical : bool
        Also keep what every character would contribute, and the sequences, as TF-MoDISco needs them.
    references : torch.Tensor of shape (rows, references, letters, positions), or callable
        As in :func:`seqlight.deep_lift_shap`; a tensor holds those of all rows of the data set.
    batch_size : int or "auto"
        Pairs of a sequence and a reference at a time. It does not change the results. "auto" is 32 on the CPU, and on a
        GPU as many as fit into its memory, which each process finds out once a run.
    tolerance, max_shuffles : float, int
        As in :func:`seqlight.attribute`.
    keep : tuple of "sequences", "references", "standard_error", "multipliers" or "spread"
        What else to keep. Mind the size: references and multipliers hold an array for each reference. Sequences are
        kept as int8. "spread" is of a :class:`seqlight.Ensemble`, with one array for each of
        folds, strands and shifts that there are several of.
    deltas : "warn", "raise" or "ignore"
        What to do if attributions do not sum to the output difference.
    warning_threshold, additional_nonlinear_ops, dtype, precision
        As in :func:`seqlight.deep_lift_shap`.
    inputs : int
        How many of the tensors of a row the model takes, sequences first. The rest, such as labels, is ignored.
    layers : sequence of str, or bool
        Also keep what the outputs of these modules contribute, as in :func:`seqlight.attribute`: ``layer_<name>``. Of
        each row of the ledger one number is kept, the mean over references of its total, ``total_<name>``, and what
        :attr:`seqlight.Results.ledger` needs, ``ledger_moments``. True keeps these alone, of all modules.
    checkpoint, arguments, identity, trusted
        As in :class:`seqlight.lit.PredictModule`.

    Raises
    ------
    InputError
        If an argument cannot be used.

    Examples
    --------
    >>> import torch
    >>> import seqlight as sl
    >>> from seqlight.lit import DeepLiftShapModule
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 1), torch.nn.ReLU())
    >>> module = DeepLiftShapModule(model, n_shuffles=5)
    >>> X = sl.random_one_hot((2, 4, 20), random_state=0)
    >>> torch.equal(module.predict_step(X)["attributions"], sl.deep_lift_shap(model, X, n_shuffles=5, random_state=0))
    True
    """

    sends_inputs = True  # so ShardedDataModule leaves batches on the CPU

    # Rows at a time, if a data module may choose: each has many pairs already, and much of each may be kept.
    most_rows = 256

    def __init__(
        self,
        model: nn.Module | str,
        target: Target | NamedTarget | str = 0,
        n_shuffles: int | Literal["auto"] = 20,
        random_state: int = 0,
        hypothetical: bool = False,
        references: Tensor | ReferenceFunction = dinucleotide_shuffle,
        batch_size: AskedBatchSize = "auto",
        tolerance: float = 0.1,
        max_shuffles: int = 200,
        keep: tuple[str, ...] = (),
        deltas: DeltaPolicy = "warn",
        warning_threshold: float = 0.001,
        additional_nonlinear_ops: Mapping[Any, Callable[..., Any]] | None = None,
        dtype: torch.dtype | str | None = None,
        inputs: int = 1,
        checkpoint: str | os.PathLike[str] | None = None,
        arguments: Mapping[str, Any] | None = None,
        identity: str | None = None,
        trusted: bool = False,
        *,
        precision: Precision = None,
        layers: Sequence[str] | bool = (),
    ) -> None:
        super().__init__()
        self.model = as_model(model, checkpoint, arguments, trusted)
        self.auto = isinstance(n_shuffles, str)
        if isinstance(n_shuffles, str) and n_shuffles != "auto":
            raise InputError(f"n_shuffles is {n_shuffles!r}: expected a number or 'auto'.")
        self.n = require_count(max_shuffles if isinstance(n_shuffles, str) else n_shuffles, "n_shuffles", least=1)
        self.tolerance = tolerance
        self.random_state = require_count(random_state, "random_state")
        several = layers if isinstance(layers, bool) else [layers] if isinstance(layers, str) else list(layers)
        self.layers: list[str] | bool = several
        if self.layers:
            make_taps(self.model, self.layers, None)  # raises InputError for what is no module
        self.target, self.references, self.ops = as_target(target), references, additional_nonlinear_ops
        self.hypothetical, self.keep = hypothetical, require_kept(keep, self.model)
        self.batch_size = require_batch_size(batch_size)
        self._size: BatchSize | None = None  # how many pairs fit into memory, learned during a run
        self.policy, self.threshold = deltas, warning_threshold
        self.kind, self.inputs = as_dtype(dtype), require_count(inputs, "inputs", least=1)
        self.precision: Precision = require_precision(precision)
        self._conversion: InputConversion | None = None
        self.identity = require_identity(identity)
        self._uncertain: list[float] = []
        self._unchanged = 0
        self._rows_checked = False  # whether the first batch of a run was checked for rows that depend on each other
        ConvergenceCheck(warning_threshold, deltas)  # raises InputError for an unknown policy

    def forward(self, *inputs: Any) -> Any:
        """Return the output of the model."""
        return self.model(*inputs)

    def on_predict_start(self) -> None:
        """Reset the counts for warnings, and check that targets and references have a row for each row of the data."""
        self._uncertain, self._unchanged, self._rows_checked = [], 0, False
        self._size = BatchSize(self.batch_size, self.device)
        self._conversion = InputConversion([None] * (self.inputs - 1), explained=1)
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(data, Sized):
            require_rows(self.target, len(data), "target")
            require_rows(self.references, len(data), "references")

    def on_predict_end(self) -> None:
        """Warn if this process had too little memory, or references that were too few, or equal to sequences."""
        self._conversion = None
        if self._size is not None:
            self._size.warn_if_reduced(stacklevel=2)
            self._size = None
        if self._uncertain:
            warn_of_uncertain(len(self._uncertain), max(self._uncertain), self.tolerance, self.n, stacklevel=2)
        if self._unchanged:
            warn_of_unchanged(self._unchanged, stacklevel=2)

    def predict_step(self, batch: Any, batch_idx: int = 0) -> dict[str, Tensor]:
        """Return the results for a batch, on the CPU, as a dict."""
        # On the CPU, where references are drawn; each block is sent on its own.
        X, *more = (one.cpu() for one in model_inputs(batch, self.inputs))
        X, args = require_inputs(X, more)
        ids = batch.ids if isinstance(batch, RowBatch) else None
        drawn = References(select_rows(self.references, ids, "references"), X, self.n, self.random_state)
        sampler = ReferenceSampler(drawn, self.tolerance if self.auto else None)
        targets = Targets(target_of_rows(self.target, ids), len(X))
        check = ConvergenceCheck(self.threshold, "raise") if self.policy == "raise" else None
        size = self._size or BatchSize(self.batch_size, self.device)
        given = self.model, (X,), args, targets, size
        taps = make_taps(self.model, self.layers, None) if self.layers else None
        job = make_explainer(*given) if taps is None else LayerExplainer(*given, taps)
        if self._conversion is not None:
            job.model_inputs.conversion = self._conversion.for_batch([X, *args])
            job.rows_checked = self._rows_checked
        kept = ["multipliers" in self.keep, "references" in self.keep]
        default = torch.get_default_dtype()
        # A Trainer in half precision makes that the default dtype of new tensors.
        torch.set_default_dtype(torch.float32 if default in (torch.float16, torch.bfloat16) else default)
        try:
            with hold_precision(self.precision, self.device), job.borrow_model(self.kind, self.ops):
                found = build_explanation("attribute", job, sampler, targets, check, *kept, taps=taps)
        finally:
            torch.set_default_dtype(default)
        if check is not None:
            check.warn_if_incomplete()
        self._rows_checked = True
        self._uncertain += sampler.uncertain
        self._unchanged += drawn.unchanged
        # Padded to the largest possible number of references.
        n = self.references.shape[1] if isinstance(self.references, Tensor) else self.n
        return kept_arrays(found, X, n, self.keep, hypothetical=self.hypothetical, counts=self.auto)

    def method(self) -> dict[str, Any]:
        """Return a description of what this module computes, for the manifest of a run."""
        auto = {"tolerance": self.tolerance, "max_shuffles": self.n} if self.auto else {"n_shuffles": self.n}
        return {
            "name": "deep_lift_shap",
            "target": describe_argument(self.target, "target", self.identity),
            **auto,
            "random_state": self.random_state,
            "hypothetical": self.hypothetical,
            "references": describe_argument(self.references, "references", self.identity),
            "keep": list(self.keep),
            "additional_nonlinear_ops": describe_argument(self.ops, "additional_nonlinear_ops", self.identity),
            "dtype": describe_argument(self.kind),
            "precision": self.precision,
            "inputs": self.inputs,
            **({"layers": self.layers} if self.layers else {}),
        }

    def conclude(self, results: Results) -> None:
        """Warn, or raise, if attributions of the whole run do not sum to the output differences."""
        if self.policy == "ignore" or not len(results):
            return
        check = ConvergenceCheck(self.threshold, self.policy)
        columns = [results[name].blocks() for name in ("deltas", "outputs", "reference_outputs")]
        counts = results["n_references"].blocks() if self.auto else None
        for deltas, outputs, baselines in zip(*columns, strict=True):
            n = np.full(len(deltas), deltas.shape[-1]) if counts is None else np.asarray(next(counts))
            for used in np.unique(n):
                mine = n == used
                found = deltas[mine][..., :used], outputs[mine], baselines[mine][..., :used]
                check.add(as_block(*(torch.from_numpy(np.array(one)) for one in found)))
        check.warn_if_incomplete()


def as_block(deltas: Tensor, outputs: Tensor, baselines: Tensor) -> Block:
    """Return kept deltas and outputs of some sequences as a block, with a dimension of targets."""
    several = outputs.ndim == 2
    figures = [one if several else one.unsqueeze(1) for one in (deltas, outputs, baselines)]
    return Block.with_figures((), (), figures)
