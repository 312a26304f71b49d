"""The ledger of a model: which share of an output difference goes through what each module returns."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
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
    totals : torch.Tensor, shape (sequences, references, modules)
        What each contributes to each pair; NaN where a sequence has fewer references.
    differences : torch.Tensor, shape (sequences, references)
        The output differences of the pairs.
    names : sequence of str

    Returns
    -------
    pandas.DataFrame
        ``layer``, ``part`` ("" for the whole), ``share``, ``standard_error`` (NaN for a single reference), and
        ``complete``: whether the totals of every pair are its output difference, to rounding.

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
    t, d = totals.double(), differences.double().unsqueeze(-1)
    n = d.isfinite().sum(dim=1)
    sign = d.nanmean(dim=1).sign()
    t, d = t * sign.unsqueeze(1), d * sign.unsqueeze(1)
    whole = d.nanmean(dim=1).sum(dim=0)
    share = t.nanmean(dim=1).sum(dim=0) / whole
    residuals = (t - share * d) - (t - share * d).nanmean(dim=1, keepdim=True)
    variance = residuals.square().nansum(dim=1) / (n - 1) / n
    parts = [split_row_name(name) for name in names]
    missed = (t - d).abs().nan_to_num().amax(dim=(0, 1))
    largest = d.abs().nan_to_num().amax()
    return pd.DataFrame(
        {
            "layer": [layer for layer, _ in parts],
            "part": [part for _, part in parts],
            "share": share.numpy(),
            "standard_error": (variance.sum(dim=0).sqrt() / whole.abs()).numpy(),
            "complete": (missed <= ROUNDING * largest).numpy(),
        }
    )


def tables_of_targets(totals: Tensor, differences: Tensor, names: Sequence[str]) -> pd.DataFrame:
    """Return the tables of several targets below each other, with a column ``target``.

    Parameters
    ----------
    totals : torch.Tensor, shape (sequences, targets, references, modules)
    differences : torch.Tensor, shape (sequences, targets, references)
    names : sequence of str
    """
    tables = [
        ledger_table(some, those, names).assign(target=k)
        for k, (some, those) in enumerate(zip(totals.unbind(1), differences.unbind(1), strict=True))
    ]
    return pd.concat(tables, ignore_index=True)[["target", *tables[0].columns[:-1]]]
