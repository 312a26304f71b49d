"""Attributions or predictions of the middles of windows, as a LightningModule: what a track of a genome is made of."""

from __future__ import annotations

import warnings
from typing import Any

import lightning.pytorch as L
import numpy as np
import torch
from torch import Tensor, nn

from seqlight.attribution.convergence import LARGEST_RELATIVE_DELTA, WARNING_THRESHOLD
from seqlight.errors import ConvergenceError, ConvergenceWarning, InputError, kind_of
from seqlight.lit.attribution_module import DeepLiftShapModule, as_block
from seqlight.lit.prediction_module import PredictModule
from seqlight.results.results import Results
from seqlight.targets.heads import Head, select_head

# What a run keeps of the deltas of a window: 12 bytes in place of all of them.
_CHECKED = ("largest_delta", "mean_delta", "mean_difference")


class TrackModule(L.LightningModule):
    """Keeps the middle of each window of what another module computes, as float32: 4 bytes a position.

    The result of a batch is a dict with ``track``, of shape (rows, tile), or (rows, targets, tile) for several targets.
    Attributions are summed over letters, which leaves those of the characters that are present. Predictions along the
    window are cut: the model's output is taken to lie in the middle of it, and its last dimension to be positions, or
    else, in an output of three dimensions, the second. A number for the whole window, shape (rows,) or (rows, tracks),
    is kept as one, (rows, 1).

    Parameters
    ----------
    module : DeepLiftShapModule or PredictModule
        What to compute.
    window, tile : int
        Positions of a window, and of the middle that is kept.

    Examples
    --------
    >>> import torch
    >>> import seqlight as sl
    >>> from seqlight.lit import DeepLiftShapModule
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 1), torch.nn.ReLU())
    >>> module = TrackModule(DeepLiftShapModule(model, n_shuffles=5), window=20, tile=6)
    >>> X = sl.random_one_hot((2, 4, 20), random_state=0)
    >>> expected = sl.deep_lift_shap(model, X, n_shuffles=5, random_state=0).sum(dim=1)[:, 7:13]
    >>> torch.equal(module.predict_step(X)["track"], expected)
    True
    """

    sends_inputs = True  # as the modules inside do

    def __init__(self, module: DeepLiftShapModule | PredictModule, window: int, tile: int) -> None:
        super().__init__()
        if module.inputs != 1:
            raise InputError(f"inputs is {module.inputs}: expected 1, for a genome holds sequences alone.")
        self.module, self.window, self.tile = module, window, tile
        if isinstance(module, DeepLiftShapModule):
            self.most_rows = module.most_rows

    @property
    def model(self) -> nn.Module:
        """The user's model."""
        return self.module.model

    @property
    def identity(self) -> str | None:
        """A name for what is computed, as in :func:`seqlight.run`."""
        return self.module.identity

    @identity.setter
    def identity(self, value: str | None) -> None:
        self.module.identity = value

    def forward(self, *inputs: Any) -> Any:
        """Return the output of the model."""
        return self.model(*inputs)

    def on_predict_start(self) -> None:
        """Let the module inside begin."""
        self.module.on_predict_start()

    def on_predict_end(self) -> None:
        """Let the module inside end."""
        self.module.on_predict_end()

    def predict_step(self, batch: Any, batch_idx: int = 0) -> dict[str, Tensor]:
        """Return the middles of a batch, and for attributions what is known of their deltas."""
        found = self.module.predict_step(batch, batch_idx)
        if not isinstance(self.module, DeepLiftShapModule):
            return {"track": self._cut_output(found).to(torch.float32).contiguous()}
        left = (self.window - self.tile) // 2
        summed = found["attributions"].sum(dim=-2)
        if summed.shape[-1] != self.window:
            raise InputError(f"attributions have {summed.shape[-1]} positions: expected {self.window}, as window says.")
        track = summed[..., left : left + self.tile].to(torch.float32).contiguous()
        return {"track": track, "outputs": found["outputs"], **_checked(found, self.module.threshold)}

    def method(self) -> dict[str, Any]:
        """Return a description of what this module computes, for the manifest of a run."""
        inner = self.module.method()
        return {**inner, "name": f"track of {inner['name']}", "window": self.window, "tile": self.tile}

    def conclude(self, results: Results) -> None:
        """Warn, or raise, if attributions of the whole run do not sum to the output differences."""
        inner = self.module
        if not isinstance(inner, DeepLiftShapModule) or inner.policy == "ignore" or not len(results):
            return
        message = _describe_high(results, inner.threshold)
        if message is not None and inner.policy == "raise":
            raise ConvergenceError(message)
        if message is not None:
            warnings.warn(message, ConvergenceWarning, stacklevel=2)

    def _cut_output(self, output: Any) -> Tensor:
        """Return the middle of predictions along windows, (rows, tile) or (rows, tracks, tile), or one number each."""
        if not isinstance(output, Tensor):
            raise InputError(
                f"the model returns {kind_of(output)}: expected a tensor; choose one with `func` of PredictModule, or "
                "--head on the command line."
            )
        found: Tensor = output
        if found.ndim == 3 and found.shape[2] < self.tile <= found.shape[1]:
            found = found.transpose(1, 2)
        if found.ndim > 1 and found.shape[1] == 1:
            found = found.squeeze(1)  # a single track
        positions = found.shape[-1] if found.ndim > 1 else 0
        if found.ndim in (1, 2) and positions < self.tile:
            return found.unsqueeze(-1)
        if found.ndim not in (2, 3) or not self.tile <= positions <= self.window:
            raise InputError(
                f"the model's output has shape {tuple(found.shape)}: expected a number for each window, or (rows, "
                f"positions) or (rows, tracks, positions) with {self.tile} to {self.window} positions, as tile and "
                "window say."
            )
        # Where the tile and the output begin in the window.
        left = (self.window - self.tile) // 2 - (self.window - positions) // 2
        return found[..., left : left + self.tile]


def select_track(output: Any, index: int, head: Head = None) -> Tensor:
    """Return one track of a model's output, with its positions if it has any.

    Parameters
    ----------
    output : anything
        What the model returned.
    index : int
        The track, in the second dimension.
    head : int, str, tuple of these, optional
        Which of several outputs, as in :mod:`seqlight.targets`.

    Raises
    ------
    InputError
        If there is no such track.

    Examples
    --------
    >>> import torch
    >>> select_track({"profile": torch.zeros(3, 2, 50)}, 1, "profile").shape
    torch.Size([3, 50])
    """
    found = select_head(output, head)
    if found.ndim < 2 or not -found.shape[1] <= index < found.shape[1]:
        raise InputError(f"track {index} is asked for, and the output has shape {tuple(found.shape)}: expected one of "
                         "its second dimension, counted from 0.")  # fmt: skip
    return found[:, index]


def _checked(found: dict[str, Tensor], threshold: float) -> dict[str, Tensor]:
    """Return the largest and the mean delta, and the mean output difference, of each row and target."""
    deltas, outputs, baselines = (found[name] for name in ("deltas", "outputs", "reference_outputs"))
    n = deltas.shape[-1]
    used = torch.arange(n, device="cpu").expand(len(deltas), n) < found.get(
        "n_references", torch.tensor(n, device="cpu")
    ).reshape(-1, 1)
    used = used if deltas.ndim == 2 else used.unsqueeze(1)
    count = used.sum(dim=-1)
    block = as_block(deltas, outputs, baselines)
    sizes = block.absolute_deltas.nan_to_num(float("inf"))  # NaN is the worst of all
    if threshold == WARNING_THRESHOLD:  # a threshold that the caller chose is used as it is
        sizes = (sizes - block.rounding.nan_to_num(0.0)).clamp_min(0)
    sizes, differences = (torch.where(used, one.reshape(deltas.shape), 0.0) for one in (sizes, block.differences.abs()))
    kept = (sizes.amax(dim=-1), sizes.sum(dim=-1) / count, differences.sum(dim=-1) / count)
    return {name: one.to(torch.float32) for name, one in zip(_CHECKED, kept, strict=True)}


def _describe_high(results: Results, threshold: float) -> str | None:
    """Return what is wrong if deltas of a run are too high, a shard at a time; else None."""
    rows = len(results)
    total = sum(one.astype(np.float64).sum(axis=0) for one in results["mean_difference"].blocks())
    # The mean over all windows of the run, so that how they were divided does not change the verdict.
    limit = LARGEST_RELATIVE_DELTA * np.asarray(total) / rows
    high, worst, difference = 0, 0.0, 0.0
    for parts in zip(*(results[name].blocks() for name in _CHECKED), strict=True):
        largest, mean, own = (one.reshape(len(one), -1) for one in parts)
        high += int(((largest > threshold) | ~(mean <= limit)).any(axis=1).sum())
        if largest.max() > worst:
            worst, difference = float(largest.max()), float(own.flat[largest.argmax()])
    if not high:
        return None
    return (
        f"Convergence deltas too high: {worst:.3g} in the worst of {high} of {rows} windows, whose output differs from "
        f"those of its references by {difference:.3g} on average. If dtype='float64' does not help, the model depends "
        "on its input in a way that no gradient sees; seqlight.audit(model, X) shows where."
    )
