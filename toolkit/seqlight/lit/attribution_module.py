"""DeepLIFT/SHAP of any model, as a module for ``trainer.predict``."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sized
from typing import Any, Literal

import lightning.pytorch as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqlight.attribution.contributions import Block
from seqlight.attribution.convergence import ConvergenceCheck, DeltaPolicy
from seqlight.attribution.explainer import Explainer
from seqlight.attribution.explanation import Explanation
from seqlight.attribution.explanation_builder import build_explanation
from seqlight.attribution.reference_sampling import ReferenceSampler
from seqlight.attribution.references import ReferenceFunction, References
from seqlight.attribution.targets import Contrast, Target, Targets
from seqlight.errors import InputError, ReferencesWarning
from seqlight.lit.model_factory import as_model
from seqlight.lit.row_batches import Rows, inputs_of
from seqlight.prediction.arguments import as_dtype, require_inputs
from seqlight.prediction.inputs import InputConversion
from seqlight.results.fingerprints import describe_argument, require_identity
from seqlight.results.results import Results
from seqlight.sequence.checks import require_count
from seqlight.sequence.shuffles import dinucleotide_shuffle


class DeepLiftShapModule(L.LightningModule):
    """Any model, to attribute its output on any number of devices: ``trainer.predict(DeepLiftShapModule(model), ...)``.

    What a row gets does not depend on the batch, the process or the number of processes it comes to: reference k of
    each sequence has the seed ``random_state + k``, and each sequence decides on its own when it has enough. Gradients
    are on and autocast is off whatever the Trainer says; `dtype` asks for it.

    A batch gives a dict. ``attributions``, ``outputs``, ``reference_outputs`` and ``deltas`` are as in
    :class:`seqlight.Explanation`; with `hypothetical` there are ``hypothetical`` and ``sequences`` (int8), with
    "auto" ``n_references``, and what `keep` names.

    Parameters
    ----------
    model : torch.nn.Module or str
        Called as ``model(X, *args)``; or the name of its class, ``"package.module.Class"``.
    target : int, tuple of int, torch.Tensor, callable, Contrast, or list of these
        What to explain, as in :func:`seqlight.attribute`. A tensor has a number for each row of the data set.
    n_shuffles : int or "auto"
        References a sequence; with "auto" as many as it takes, up to `max_shuffles`.
    random_state : int
        The seed of the first reference.
    hypothetical : bool
        Keep also what every character would contribute, and the sequences, as TF-MoDISco needs them.
    references : torch.Tensor of shape (rows, references, letters, positions), or callable
        As in :func:`seqlight.deep_lift_shap`; of a tensor, those of all rows of the data set.
    batch_size : int
        Pairs of a sequence and a reference at a time. It does not change the result.
    tolerance, max_shuffles : float, int
        As in :func:`seqlight.attribute`.
    keep : tuple of "references", "standard_error" or "multipliers"
        What else to keep. Mind the size: references and multipliers are an array for each reference.
    deltas : "warn", "raise" or "ignore"
        What to do where attributions do not sum to the output difference.
    warning_threshold, additional_nonlinear_ops, dtype
        As in :func:`seqlight.deep_lift_shap`.
    inputs : int
        How many of the tensors of a row the model takes, sequences first. The rest, such as labels, is left.
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

    def __init__(
        self,
        model: nn.Module | str,
        target: Target = 0,
        n_shuffles: int | Literal["auto"] = 20,
        random_state: int = 0,
        hypothetical: bool = False,
        references: Tensor | ReferenceFunction = dinucleotide_shuffle,
        batch_size: int = 32,
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
    ) -> None:
        super().__init__()
        self.model = as_model(model, checkpoint, arguments, trusted)
        self.auto = isinstance(n_shuffles, str)
        if isinstance(n_shuffles, str) and n_shuffles != "auto":
            raise InputError(f"n_shuffles is {n_shuffles!r}: expected a number or 'auto'.")
        self.n = require_count(max_shuffles if isinstance(n_shuffles, str) else n_shuffles, "n_shuffles", least=1)
        self.tolerance = tolerance
        self.random_state = require_count(random_state, "random_state")
        unknown = sorted(set(keep) - {"references", "standard_error", "multipliers"})
        if unknown:
            raise InputError(f"keep names {unknown[0]!r}: expected 'references', 'standard_error' or 'multipliers'.")
        self.target, self.references, self.ops = target, references, additional_nonlinear_ops
        self.hypothetical, self.keep = hypothetical, tuple(keep)
        self.pairs = require_count(batch_size, "batch_size", least=1)
        self.policy, self.threshold = deltas, warning_threshold
        self.kind, self.inputs = as_dtype(dtype), require_count(inputs, "inputs", least=1)
        self._conversion: InputConversion | None = None
        self.identity = require_identity(identity)
        self._uncertain: list[float] = []
        self._unmoved = 0
        ConvergenceCheck(warning_threshold, deltas)  # asks for what it understands

    def forward(self, *inputs: Any) -> Any:
        """Return the output of the model."""
        return self.model(*inputs)

    def on_predict_start(self) -> None:
        """Begin to count what there will be to warn of."""
        self._uncertain, self._unmoved = [], 0
        self._conversion = InputConversion([None] * (self.inputs - 1), explained=1)
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(data, Sized):
            _require_rows(self.target, len(data), "target")
            _require_rows(self.references, len(data), "references")

    def on_predict_end(self) -> None:
        """Warn of sequences that references of this process left unknown."""
        self._conversion = None
        if self._uncertain:
            warnings.warn(
                f"{len(self._uncertain)} sequences are not known to a tolerance of {self.tolerance} after {self.n} "
                f"references: at worst the standard error is {max(self._uncertain):.2g} of the attribution; raise "
                "max_shuffles or tolerance.",
                ReferencesWarning,
                stacklevel=2,
            )
        if self._unmoved:
            warnings.warn(
                f"{self._unmoved} sequences are equal to all of their references, so nothing in them is explained: a "
                "shuffle cannot change them; pass references of another kind.",
                ReferencesWarning,
                stacklevel=2,
            )

    def predict_step(self, batch: Any, batch_idx: int = 0) -> dict[str, Tensor]:
        """Return what is known of the sequences of a batch, on the CPU."""
        X, *more = inputs_of(batch, self.inputs)
        X, args = require_inputs(X, more)
        ids = batch.ids if isinstance(batch, Rows) else None
        drawn = References(_of_rows(self.references, ids, "references"), X, self.n, self.random_state)
        sampler = ReferenceSampler(drawn, self.tolerance if self.auto else None)
        targets = Targets(_of_target(self.target, ids), len(X))
        check = ConvergenceCheck(self.threshold, "raise") if self.policy == "raise" else None
        job = Explainer(self.model, (X,), args, targets, self.pairs, self.device)
        if self._conversion is not None:
            job.conversion = self._conversion.for_batch([X, *args])
        kept = ["multipliers" in self.keep, "references" in self.keep]
        default = torch.get_default_dtype()
        # A Trainer in half precision makes that the default of new tensors.
        torch.set_default_dtype(torch.float32 if default in (torch.float16, torch.bfloat16) else default)
        try:
            with job.running(self.kind, self.ops):
                found = build_explanation("attribute", job, sampler, targets, check, *kept)
        finally:
            torch.set_default_dtype(default)
        if check is not None:
            check.warn_if_incomplete()
        self._uncertain += sampler.uncertain
        self._unmoved += drawn.unchanged
        return self._chosen(found, X)

    def method(self) -> dict[str, Any]:
        """Return what a run with this module is, in words and numbers."""
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
            "inputs": self.inputs,
        }

    def conclude(self, results: Results) -> None:
        """Warn if attributions of the whole run do not sum to the output differences."""
        if self.policy == "ignore" or not len(results):
            return
        check = ConvergenceCheck(self.threshold, self.policy)
        columns = [results[name].blocks() for name in ("deltas", "outputs", "reference_outputs")]
        counts = results["n_references"].blocks() if self.auto else None
        for deltas, outputs, baselines in zip(*columns, strict=True):
            n = np.full(len(deltas), deltas.shape[-1]) if counts is None else np.asarray(next(counts))
            for used in np.unique(n):
                mine = n == used
                check.add(_block(deltas[mine][..., :used], outputs[mine], baselines[mine][..., :used]))
        check.warn_if_incomplete()

    def _chosen(self, found: Explanation, X: Tensor) -> dict[str, Tensor]:
        """Return what is to be kept, with room for all references that there might be."""
        kept = {name: getattr(found, name) for name in ("attributions", "outputs", "reference_outputs", "deltas")}
        if self.hypothetical:
            kept |= {"hypothetical": found.hypothetical, "sequences": X.to("cpu", torch.int8)}
        if self.auto:
            kept["n_references"] = found.n_references
        kept |= {name: getattr(found, name) for name in self.keep}
        n = self.references.shape[1] if isinstance(self.references, Tensor) else self.n
        room = {"reference_outputs": -1, "deltas": -1, "references": 1, "multipliers": -3}
        return {name: _padded(one, room[name], n) if name in room else one for name, one in kept.items()}


def _of_target(target: Any, ids: NDArray[np.int64] | None) -> Any:
    """Return the target of some rows."""
    if isinstance(target, list):
        return [_of_target(one, ids) for one in target]
    if isinstance(target, Contrast):
        return Contrast(_of_target(target.a, ids), _of_target(target.b, ids))
    return _of_rows(target, ids, "target")


def _require_rows(one: Any, rows: int, name: str) -> None:
    """Raise InputError unless what has a row for each row of the data set has as many."""
    if isinstance(one, list):
        for each in one:
            _require_rows(each, rows, name)
    elif isinstance(one, Contrast):
        _require_rows([one.a, one.b], rows, name)
    elif isinstance(one, Tensor | np.ndarray) and one.ndim and len(one) != rows:
        raise InputError(f"{name} has {len(one)} rows and the data set {rows}: expected a row for each.")


def _of_rows(one: Any, ids: NDArray[np.int64] | None, name: str) -> Any:
    """Return of a tensor with a row for each row of the data set those of a batch, and anything else as it is."""
    if not isinstance(one, Tensor | np.ndarray) or not one.ndim:
        return one
    if ids is None:
        raise InputError(f"{name} has a row for each row of the data set, and a batch does not say which rows it has: "
                         "use seqlight.lit.ShardedDataModule.")  # fmt: skip
    return one[torch.from_numpy(ids)] if isinstance(one, Tensor) else one[ids]


def _padded(one: Tensor, dim: int, n: int) -> Tensor:
    room = n - one.shape[dim]
    if not room:
        return one
    shape = list(one.shape)
    shape[dim] = room
    return torch.cat([one, one.new_full(shape, float("nan") if one.is_floating_point() else 0)], dim=dim)


def _block(deltas: NDArray[Any], outputs: NDArray[Any], baselines: NDArray[Any]) -> Block:
    """Return what was kept of some sequences, with a dimension of targets."""
    several = outputs.ndim == 2
    d, f, r = (torch.from_numpy(np.array(one)) for one in (deltas, outputs, baselines))
    return Block((), (), *((d, f, r) if several else (d.unsqueeze(1), f.unsqueeze(1), r.unsqueeze(1))))
