"""Predict or attribute a data set in one call, on any number of devices, with results on disk."""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import pickle
import re
import warnings
from collections.abc import Iterator
from typing import Any

import lightning.pytorch as L
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch import nn

from seqlight.errors import InputError
from seqlight.lit.attribution_module import DeepLiftShapModule
from seqlight.lit.prediction_module import PredictModule
from seqlight.lit.progress_bar import RowProgressBar
from seqlight.lit.shard_writer import ShardWriter
from seqlight.lit.sharded_data import ShardedDataModule
from seqlight.lit.track_module import TrackModule
from seqlight.prediction.arguments import require_module
from seqlight.prediction.batch_size import AskedBatchSize
from seqlight.prediction.borrowed_model.borrow import borrow
from seqlight.results.fingerprints import require_identity
from seqlight.results.manifest import read_manifest
from seqlight.results.results import Results, open_results


def run(
    module: nn.Module,
    data: Any,
    out: str | os.PathLike[str],
    *,
    devices: int | list[int] | str = "auto",
    num_nodes: int = 1,
    strategy: Any = "auto",
    accelerator: str = "auto",
    precision: Any = None,
    batch_size: AskedBatchSize | None = None,
    shard_rows: int | None = None,
    workers: int | None = None,
    progress: bool = True,
    identity: str | None = None,
    **settings: Any,
) -> Results:
    """Predict or attribute all rows of a data set, on one device or many, and return the results.

    The results hold every row, in order, whatever the number of processes. An interrupted run can be started again,
    with any number of processes, and computes what is missing. The model is given back as it was.

    Parameters
    ----------
    module : PredictModule, DeepLiftShapModule or torch.nn.Module
        What to compute; a plain model predicts.
    data : torch.Tensor, numpy.ndarray, tuple of these, map-style Dataset, DataLoader or LightningDataModule
        The rows, as in :class:`seqlight.lit.ShardedDataModule`.
    out : str or path
        A folder for the results, on a file system that all machines share.
    devices, num_nodes, strategy, accelerator, precision
        Arguments of the Trainer. The strategy "auto" starts the script again for each device; strategies that spawn or
        fork do not, and within pytest "auto" spawns.
    batch_size : int, "auto" or None
        Rows at a time, on each device. "auto" is 32 on the CPU, and on a GPU as many as fit into its memory; each
        process finds out for itself. None: as in a DataLoader, else "auto". Where memory runs out, fewer are taken.
        For attributions, the `batch_size` of :class:`seqlight.lit.DeepLiftShapModule` says the same of pairs.
    shard_rows : int, optional
        Rows in a file; a process that is killed loses one file.
    workers : int, optional
        Processes that load data, for each device.
    progress : bool
        Show a progress bar with rows per second and the time left, and a line for each process at the end.
    identity : str, optional
        A name for what is computed, such as ``"my target, version 2"``. A folder then belongs to the same run if this
        name, the weights, the data and the numbers are the same; the code and attributes of the model and of functions
        are not compared. For what cannot be described; change the name whenever anything changes.
    **settings
        Further arguments of the Trainer.

    Returns
    -------
    Results
        The same in every process.

    Raises
    ------
    InputError
        If an argument cannot be used, such as an `out` that is a file or a URL.
    ResultsError
        If `out` holds another run or is in use, or if a process ended too early.
    DiskError
        If a file cannot be written, as on a full disk; the same call continues once there is room.
    OutOfMemory
        If a device has not enough memory for a single row, or a single pair.

    Warns
    -----
    MemoryWarning
        If fewer rows or pairs at a time fit into memory than a `batch_size` says.
    SeqlightWarning
        For each shard of an earlier start that is damaged or belongs to another run: it is computed again.

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> import seqlight as sl
    >>> from seqlight.lit import DeepLiftShapModule
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 1))
    >>> X = sl.random_one_hot((5, 4, 20), random_state=0)
    >>> with tempfile.TemporaryDirectory() as out:
    ...     found = sl.run(DeepLiftShapModule(model), X, out=out, accelerator="cpu", progress=False)
    ...     found["attributions"][3:].shape
    (2, 4, 20)
    """
    require_module(module)
    _require_settings(settings)
    _require_trainer_precision(precision)
    job = module if isinstance(module, PredictModule | DeepLiftShapModule | TrackModule) else PredictModule(module)
    writer = ShardWriter(out, shard_rows)
    rows = data if isinstance(data, ShardedDataModule) else ShardedDataModule(data, batch_size, workers)
    ours = [writer, *([RowProgressBar()] if progress else [])]
    quiet: dict[str, Any] = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_model_summary": False,
        "default_root_dir": str(writer.out),
    }
    with (
        _show_log(progress),
        _restore_attributes(job.model),
        _use_identity(job, identity),
        warnings.catch_warnings(),
    ):
        # A process may have no rows: all may be done already, or there may be few.
        warnings.filterwarnings("ignore", "Total length of `DataLoader` across ranks is zero")
        trainer = _make_trainer(
            devices=devices,
            num_nodes=num_nodes,
            strategy=_choose_strategy(strategy, devices, accelerator),
            accelerator=accelerator,
            precision=precision,
            enable_progress_bar=False,
            callbacks=[*ours, *settings.pop("callbacks", ())],
            **quiet | settings,
        )
        with _explain_pickling():
            trainer.predict(job, datamodule=rows, return_predictions=False)
    manifest = read_manifest(writer.out)
    # Process 0 has seen that all shards are there; another machine may see the last files later.
    return open_results(writer.out) if trainer.is_global_zero or manifest is None else Results(writer.out, manifest)


def _require_settings(settings: dict[str, Any]) -> None:
    """Raise InputError for settings that are no arguments of the Trainer."""
    known = inspect.signature(L.Trainer).parameters
    for name in settings:
        if name in inspect.signature(DeepLiftShapModule).parameters:
            raise InputError(
                f"run has no argument {name!r}: give it to the module, DeepLiftShapModule(model, {name}=...)."
            )
        if name not in known:
            raise InputError(f"run has no argument {name!r}, and neither has Lightning's Trainer: leave it out.")


def _require_trainer_precision(precision: Any) -> None:
    """Raise InputError for a precision that is one of the module, not of the Trainer."""
    if precision == "tf32":
        raise InputError(
            "precision is 'tf32', and that of run is Lightning's, such as 'bf16-mixed': for attributions "
            'in TF32 give it to the module, DeepLiftShapModule(model, precision="tf32").'
        )


def _make_trainer(**arguments: Any) -> L.Trainer:
    """Return a Trainer; raise InputError, with its words, if it refuses its arguments."""
    try:
        return L.Trainer(**arguments)
    except (MisconfigurationException, TypeError, ValueError) as error:
        reason = " ".join(str(error).split()).rstrip(".!")
        raise InputError(
            f"Lightning's Trainer refuses its arguments ({reason}): expected some that it knows and that fit this "
            "machine, such as accelerator='auto' and devices='auto'."
        ) from error


def _choose_strategy(strategy: Any, devices: Any, accelerator: Any = "auto") -> Any:
    """Return the strategy; within pytest not one that starts the script again."""
    if strategy != "auto" or "PYTEST_CURRENT_TEST" not in os.environ:
        return strategy
    return "ddp_spawn" if _count_devices(devices, accelerator) > 1 else strategy


def _count_devices(devices: Any, accelerator: Any) -> int:
    """Return how many devices Lightning will use, which takes a number, numbers, "0,1" and "auto" or -1 for all."""
    if isinstance(devices, list | tuple):
        return len(devices)
    text = str(devices)
    if text in ("auto", "-1"):
        # Without being told, it takes one device of any other kind.
        return torch.cuda.device_count() if accelerator in ("auto", "gpu", "cuda") else 1
    return len([one for one in text.split(",") if one.strip()]) if "," in text else int(text) if text.isdigit() else 1


@contextlib.contextmanager
def _explain_pickling() -> Iterator[None]:
    """Raise InputError where the module or the data cannot be sent to processes that are spawned."""
    try:
        yield
    except (AttributeError, TypeError, pickle.PicklingError) as error:
        if not re.search(r"(can't|cannot) pickle", str(error), re.IGNORECASE):
            raise
        raise InputError(
            f"the module and the data are sent to other processes, and not all of it can be pickled ({error}): "
            "expected functions and classes of a module, and no lambda; a target may have a name, such as "
            "'counts(head=1)'."
        ) from error


@contextlib.contextmanager
def _restore_attributes(model: nn.Module) -> Iterator[None]:
    parameter = next(model.parameters(), None)
    if parameter is None:
        yield
        return
    # A forward may cache something on the model, and the same call again would then be a run of another model.
    with borrow(model, parameter.device, attributes=True):
        yield


@contextlib.contextmanager
def _use_identity(job: PredictModule | DeepLiftShapModule | TrackModule, identity: str | None) -> Iterator[None]:
    """Set the identity of the module meanwhile, if one is given."""
    before = job.identity
    job.identity = before if identity is None else require_identity(identity)
    try:
        yield
    finally:
        job.identity = before


@contextlib.contextmanager
def _show_log(progress: bool) -> Iterator[None]:
    """Print what seqlight logs, unless the caller has set up logging, and silence Lightning's messages about itself."""
    log, lightning = logging.getLogger("seqlight"), logging.getLogger("lightning.pytorch.utilities.rank_zero")
    levels, handler = (log.level, lightning.level), logging.StreamHandler()
    lightning.setLevel(max(lightning.level, logging.WARNING))
    if progress and not log.hasHandlers():
        log.addHandler(handler)
        log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(levels[0])
        lightning.setLevel(levels[1])
