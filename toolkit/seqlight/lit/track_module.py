"""Attributions or predictions of the middles of windows, as a LightningModule: what a track of a genome is made of."""

from __future__ import annotations

import warnings
from typing import Any

import lightning.pytorch as L
import numpy as np
import torch
from torch import Tensor, nn

from seqlight.attribution.convergence import LARGEST_RELATIVE_DELTA, WARNING_THRESHOLD
from seqlight.errors import ConvergenceError, ConvergenceWarning, InputError
from seqlight.lit.attribution_module import DeepLiftShapModule, as_block
from seqlight.lit.prediction_module import PredictModule
from seqlight.lit.window_outputs import Along, cut_output, require_along
from seqlight.results.results import Results

# What a run keeps of the deltas of a window: 12 bytes in place of all of them.
_CHECKED = ("largest_delta", "mean_delta", "mean_difference")


class TrackModule(L.LightningModule):
    """Keeps the middle of each window of what another module computes, as float32: 4 bytes a position.

    The result of a batch is a dict with ``track``, of shape (rows, tile), or (rows, targets, tile) for several targets.
    Attributions are summed over letters, which leaves those of the characters that are present. Predictions along the
    window are cut, as by :func:`~seqlight.lit.window_outputs.cut_output`: they are taken to lie in the middle of it. A
    number for the whole window, shape (rows,) or (rows, tracks), is kept as one, (rows, 1).

    Parameters
    ----------
    module : DeepLiftShapModule or PredictModule
        What to compute.
    window, tile : int
        Positions of a window, and of the middle that is kept.
    positions : {1, 2, "none"}, optional
        For predictions: the dimension that runs along the window, or "none"; None where the shape says it.

    Raises
    ------
    InputError
        If the module takes more than one input, or `positions` is for attributions or no dimension.

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

    def __init__(
        self, module: DeepLiftShapModule | PredictModule, window: int, tile: int, positions: Along = None
    ) -> None:
        super().__init__()
        if isinstance(module, DeepLiftShapModule) and positions is not None:
            raise InputError(
                f"positions is {positions!r}: expected it for predictions alone, as attributions always run along the "
                "window."
            )
        if module.inputs != 1:
            raise InputError(f"inputs is {module.inputs}: expected 1, for a genome holds sequences alone.")
        self.module, self.window, self.tile, self.positions = module, window, tile, require_along(positions)
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
            cut = cut_output(found, self.window, self.tile, self.positions)
            return {"track": cut.to(torch.float32).contiguous()}
        left = (self.window - self.tile) // 2
        summed = found["attributions"].sum(dim=-2)
        if summed.shape[-1] != self.window:
            raise InputError(f"attributions have {summed.shape[-1]} positions: expected {self.window}, as window says.")
        track = summed[..., left : left + self.tile].to(torch.float32).contiguous()
        return {"track": track, "outputs": found["outputs"], **_checked(found, self.module.threshold)}

    def method(self) -> dict[str, Any]:
        """Return a description of what this module computes, for the manifest of a run."""
        inner = self.module.method()
        said = {} if self.positions is None else {"positions": self.positions}
        return {**inner, "name": f"track of {inner['name']}", "window": self.window, "tile": self.tile, **said}

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
