"""Predict in batches, from tensors, Datasets and DataLoaders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset

from seqlight.errors import InputError
from seqlight.prediction.arguments import (
    HALF,
    as_dtype,
    autocast,
    choose_device,
    require_args,
    require_module,
    require_rows,
)
from seqlight.prediction.batch_runner import BatchRunner
from seqlight.prediction.batch_size import AskedBatchSize, BatchSize, require_batch_size
from seqlight.prediction.borrowed_model.borrow import borrow, floating_dtype
from seqlight.prediction.inputs import InputConversion
from seqlight.prediction.outputs import OutputCollector
from seqlight.prediction.progress import open_progress
from seqlight.prediction.row_independence.probe import RowProbe
from seqlight.sequence.checks import require_tensor


def predict(
    model: nn.Module,
    X: Tensor | Dataset[Any] | DataLoader[Any],
    args: Sequence[Tensor] | None = None,
    func: Callable[[Any], Any] | None = None,
    batch_size: AskedBatchSize = "auto",
    dtype: torch.dtype | str | None = None,
    device: str | torch.device | None = None,
    verbose: bool = False,
) -> Any:
    """Run a model over many inputs, a batch at a time, without gradients.

    The model is used in evaluation mode and given back exactly as it was.

    Parameters
    ----------
    model : torch.nn.Module
        Called as ``model(X, *args)``.
    X : torch.Tensor of shape (rows, ...), torch.utils.data.Dataset or DataLoader
        The inputs. Floating-point numbers are converted to the dtype of the model, and so are one-hot integers, such
        as int8: those of three or more dimensions with a single 1 at each position, or none. Other integers, such as
        ids, and masks keep their dtype. This is decided for the whole tensor, or by the first batch of a Dataset or
        DataLoader; a later batch of another kind is refused. If these yield tuples or lists, the first entry is used.
    args : sequence of torch.Tensor, optional
        Further inputs in the order of ``forward``, with as many rows as `X`, converted by the same rule.
    func : callable, optional
        Applied to the output of each batch.
    batch_size : int or "auto"
        Rows at a time; a DataLoader keeps its own. "auto" is 32 on the CPU, and on a GPU as many as fit into its
        memory. Where memory runs out, half as many are tried, down to a single one.
    dtype : torch.dtype or str, optional
        float16 and bfloat16 run under autocast, any other with the parameters converted to it. None: the model's own.
    device : str or torch.device, optional
        Where to run. None for the accelerator that the model lies on, else the current one, such as CUDA or MPS, else
        the CPU.
    verbose : bool
        Show a progress bar.

    Returns
    -------
    torch.Tensor on the CPU, or tuples, lists and dicts of them in the structure of the model's output
        One row for each row of `X`.

    Raises
    ------
    InputError
        If the numbers of rows differ, `X` is empty, the dtype of the model cannot hold its numbers, the model does not
        take integers, or an output does not have a row for each input.
    OutOfMemory
        If the device has not enough memory for a single row.

    Warns
    -----
    BatchWarning
        If the output for a row depends on the other rows of its batch, or on chance.
    MemoryWarning
        If fewer rows at a time fit into memory than `batch_size`.

    Examples
    --------
    >>> import torch
    >>> from seqlight import predict, random_one_hot
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(40, 3))
    >>> predict(model, random_one_hot((5, 4, 10))).shape
    torch.Size([5, 3])
    """
    if not isinstance(model, nn.Module):
        require_module(model)
    place, kind = choose_device(device, model), as_dtype(dtype)
    args, asked = require_args(args), require_batch_size(batch_size)
    size = BatchSize(None if isinstance(X, DataLoader) else asked, place)
    loader, rows = _batches(X, size)
    if not isinstance(X, DataLoader):
        require_rows(args, rows)
    collector = OutputCollector(rows)
    conversion = InputConversion([X if isinstance(X, Tensor) else None, *args])
    runner = BatchRunner(RowProbe(model), conversion, func, size)
    with borrow(model, place, None if kind in HALF else kind), torch.no_grad(), autocast(place, kind):
        model_dtype: torch.dtype | None = None
        for batch in _with_progress(loader, rows) if verbose else loader:
            model_dtype = model_dtype or floating_dtype(model, batch)
            first = collector.done
            rest = [arg[first : first + len(batch)] for arg in args]
            if any(len(one) != len(batch) for one in rest):
                require_rows(args, first + len(batch))
            # No name keeps a batch's inputs or output while the next one is computed, so that memory is reused.
            for output, done in runner.outputs([batch, *rest], first, model_dtype):
                collector.add(output, done)
                del output
        require_rows(args, collector.done)
        result = collector.result()
        # Checked last, since it may change the state of the model and draws random numbers.
        runner.probe.warn_if_dependent(func, result, stacklevel=2)
    size.warn_if_reduced(stacklevel=2)
    return result


def _batches(X: object, size: BatchSize) -> tuple[Iterable[Tensor], int | None]:
    """Return the batches of `X`, and the number of rows to expect if that is known beforehand."""
    if isinstance(X, DataLoader):
        return _first_entries(X), _rows_of(X)
    if isinstance(X, Dataset):
        if size.learns and not isinstance(X, IterableDataset):
            rows = range(len(cast(Sized, X)))
            return _first_entries(DataLoader(X, batch_sampler=map(list, size.slices(rows)))), len(rows)
        loader: DataLoader[Any] = DataLoader(X, batch_size=size.rows)
        return _first_entries(loader), _rows_of(loader)
    X = require_tensor(X)
    if X.ndim == 0 or not len(X):
        raise InputError(f"X is empty, of shape {tuple(X.shape)}: expected at least one row.")
    return size.slices(X), len(X)


def _rows_of(loader: DataLoader[Any]) -> int | None:
    # A custom batch sampler, with which a loader has no batch size, may draw any number of rows.
    if loader.batch_size is None or isinstance(loader.dataset, IterableDataset):
        return None
    if not isinstance(loader.sampler, Sized):
        return None
    rows = len(loader.sampler)
    return rows - rows % loader.batch_size if loader.drop_last else rows


def _first_entries(loader: DataLoader[Any]) -> Iterator[Tensor]:
    for batch in loader:
        X = require_tensor(batch[0] if isinstance(batch, tuple | list) and batch else batch, "a batch of X")
        if not X.ndim:
            raise InputError("a batch of X is a single number: expected rows; let the DataLoader make batches.")
        yield X


def _with_progress(batches: Iterable[Tensor], rows: int | None) -> Iterator[Tensor]:
    with open_progress(rows, "rows", "predict") as bar:
        for batch in batches:
            yield batch
            bar.update(len(batch))
