"""The ledger of a model: which share of an output difference goes through what each module returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import torch
from torch import Tensor

from seqlight.attribution.engine.layer_rows import split_row_name

# By how much totals of float32 may miss the output difference of a cut, as a share of it.
ROUNDING = 1e-3


def ledger_table(totals: Tensor, differences: Tensor, names: Sequence[str]) -> pd.DataFrame:
    """Return a row for each module, in the order of their calls.

    Sequences with a large output difference count for more: the share is the sum over sequences of what a module
    contributes, with the sign of the sequence's mean output difference, over the sum of these differences. Its standard
    error is that of a ratio over references, to first order, so that of a cut is 0.

    Parameters
    ----------
    totals : torch.Tensor, shape (sequences, references, modules), or (sequences, targets, references, modules)
        What each contributes to each pair; NaN where a sequence has fewer references.
    differences : torch.Tensor, shape (sequences, references), or (sequences, targets, references)
        The output differences of the pairs.
    names : sequence of str

    Returns
    -------
    pandas.DataFrame
        ``layer``, ``part`` ("" for the whole), ``share``, ``standard_error`` (NaN for a single reference), and
        ``complete``: whether the totals of every pair are its output difference, to rounding. Of several targets the
        tables are below each other, with a column ``target``.

    References
    ----------
    Cochran (1977), Sampling Techniques, chapter 6: the standard error of a ratio.

    Examples
    --------
    >>> import torch
    >>> totals = torch.tensor([[[4.0, 1.0], [2.0, 1.0]]])
    >>> ledger_table(totals, torch.tensor([[4.0, 2.0]]), ["trunk", "trunk: branch 1 (relu)"])
       layer             part     share  standard_error  complete
    0  trunk                   1.000000        0.000000      True
    1  trunk  branch 1 (relu)  0.333333        0.111111     False
    """
    sums = LedgerSums()
    sums.add(totals.double().nanmean(dim=-2), ledger_moments(totals, differences), differences)
    return sums.table(names)


def ledger_moments(totals: Tensor, differences: Tensor) -> Tensor:
    """Return what a ledger needs to know of the references of each sequence, beside the mean of each total.

    Of what a total misses of the output difference: the squared standard error of its mean, its covariance with that of
    the output difference, and the largest of its absolute values.

    Parameters
    ----------
    totals, differences
        As in :func:`ledger_table`.

    Returns
    -------
    torch.Tensor, float64, shape (sequences, modules, 3), or (sequences, targets, modules, 3)
    """
    d = differences.double().unsqueeze(-1)
    missed = totals.double() - d
    of_missed, of_d = _centred(missed), _centred(d)
    moments = [_covariance_of_means(of_missed, of_missed, d), _covariance_of_means(of_missed, of_d, d)]
    return torch.stack([*moments, missed.abs().nan_to_num().amax(dim=-2)], dim=-1)


class LedgerSums:
    """What a ledger is computed from, summed over sequences that come some at a time."""

    def __init__(self) -> None:
        self._sums: list[Tensor] | None = None
        self._largest: list[Tensor] = []

    def add(self, means: Tensor, moments: Tensor, differences: Tensor) -> None:
        """Add some sequences.

        Parameters
        ----------
        means : torch.Tensor, shape (sequences, modules), or (sequences, targets, modules)
            The mean over references of what each module contributes.
        moments : torch.Tensor
            As from :func:`ledger_moments`.
        differences : torch.Tensor
            As in :func:`ledger_table`.
        """
        d = differences.double().unsqueeze(-1)
        of_d = _centred(d)
        mean = d.nanmean(dim=-2)
        variance, covariance, missed = moments.unbind(-1)
        terms = means.double() * mean.sign(), mean.abs(), variance, covariance, _covariance_of_means(of_d, of_d, d)
        sums = [one.sum(dim=0) for one in terms]
        largest = [missed.amax(dim=0), d.abs().nan_to_num().amax(dim=(0, -2))]
        if self._sums is not None:
            sums = [a + b for a, b in zip(self._sums, sums, strict=True)]
            largest = [torch.maximum(a, b) for a, b in zip(self._largest, largest, strict=True)]
        self._sums, self._largest = sums, largest

    def table(self, names: Sequence[str]) -> pd.DataFrame:
        """Return the ledger of all sequences that were added, at least one, as :func:`ledger_table` does."""
        assert self._sums is not None
        total, whole, variance, covariance, of_d = self._sums
        share = total / whole
        rest = 1 - share
        squared = (variance + 2 * rest * covariance + rest.square() * of_d).clamp_min(0)
        missed, largest = self._largest
        columns = {"share": share, "standard_error": squared.sqrt() / whole, "complete": missed <= ROUNDING * largest}
        if share.ndim == 1:
            return _table(columns, names)
        tables = [_table({name: one[k] for name, one in columns.items()}, names) for k in range(len(share))]
        named = [one.assign(target=k)[["target", *one.columns]] for k, one in enumerate(tables)]
        return pd.concat(named, ignore_index=True)


def _centred(values: Tensor) -> Tensor:
    return values - values.nanmean(dim=-2, keepdim=True)


def _covariance_of_means(a: Tensor, b: Tensor, differences: Tensor) -> Tensor:
    """Return the covariance of the means over references of two centred quantities."""
    n = differences.isfinite().sum(dim=-2)
    return (a * b).nansum(dim=-2) / (n - 1) / n


def _table(columns: Mapping[str, Tensor], names: Sequence[str]) -> pd.DataFrame:
    parts = [split_row_name(name) for name in names]
    named = {"layer": [layer for layer, _ in parts], "part": [part for _, part in parts]}
    return pd.DataFrame({**named, **{name: one.numpy() for name, one in columns.items()}})
