"""Seqlets of a model at a false discovery rate, in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd
from torch import Tensor, nn

from seqlight.attribution.methods.deeplift import deep_lift_shap
from seqlight.notebook.array_lines import array_lines
from seqlight.seqlets.recursive.caller import Sign, check_options, check_rate, recursive_seqlets, require_sign
from seqlight.seqlets.recursive.control import shuffled_control
from seqlight.sequence.checks import require_count, require_one_hot
from seqlight.sequence.loci import Loci, as_loci
from seqlight.sequence.random_streams import LARGEST_SEED, seed


class CalibratedSeqlets(NamedTuple):
    """What ``calibrated_seqlets`` returns.

    Attributes
    ----------
    seqlets : pandas.DataFrame
        As from ``recursive_seqlets``.
    fdr : pandas.DataFrame
        The estimated false discovery rate at 117 thresholds of each sign: sign, threshold, n_seqlets,
        n_control_seqlets, fdr.
    attributions : torch.Tensor, shape (sequences, letters, positions)
        Attributions of the sequences.
    control : torch.Tensor, shape (sequences * n_control, positions)
        Attributions of their shuffles, summed over letters.
    """

    seqlets: pd.DataFrame
    fdr: pd.DataFrame
    attributions: Tensor
    control: Tensor

    def __repr__(self) -> str:
        return array_lines(type(self).__name__, self._asdict())


def calibrated_seqlets(
    model: nn.Module,
    X: Tensor,
    args: Sequence[Tensor] | None = None,
    *,
    target_fdr: float = 0.1,
    n_control: int = 1,
    sign: Sign = "both",
    min_seqlet_len: int = 4,
    max_seqlet_len: int = 25,
    additional_flanks: int = 0,
    n_bins: int = 1000,
    loci: Loci | pd.DataFrame | None = None,
    random_state: int | None = None,
    **options: Any,
) -> CalibratedSeqlets:
    """Attribute sequences and their dinucleotide shuffles, and call the seqlets that shuffles do not explain.

    Equivalent to these steps, for attributions that exist already::

        X_attr = deep_lift_shap(model, X, random_state=0)
        control = shuffled_control(model, X, n=n_control, random_state=0)
        recursive_seqlets(X_attr.sum(dim=1), X_control=control, target_fdr=target_fdr)

    Parameters
    ----------
    model : torch.nn.Module
        As in ``deep_lift_shap``; the model is given back as it was.
    X : torch.Tensor, shape (sequences, letters, positions)
        One-hot, unknown characters as columns of zeros.
    args : sequence of torch.Tensor, optional
        Further inputs of the model, one row for each sequence.
    target_fdr : float
        The largest estimated false discovery rate of each sign.
    n_control : int
        Shuffles of each sequence; each costs as much as the sequences themselves. One is enough for hundreds of
        sequences; for a few, take ten or more, since rates below ``1 / (calls * n_control)`` cannot be estimated.
    sign, min_seqlet_len, max_seqlet_len, additional_flanks, n_bins, loci
        As in ``recursive_seqlets``.
    random_state : int, optional
        Seed of the references and of the shuffles; None for a fresh one.
    **options
        Any other option of ``deep_lift_shap``: target (one), references as a function, n_shuffles, batch_size, ...

    Returns
    -------
    CalibratedSeqlets
        With the fields `seqlets`, `fdr`, `attributions` and `control`.

    Raises
    ------
    InputError
        If an argument cannot be used; options of the caller are checked before anything is attributed.

    Warns
    -----
    SeqlightWarning
        If no threshold reaches `target_fdr` for a sign; that sign then has no seqlets.

    Examples
    --------
    >>> import torch
    >>> import seqlight as sl
    >>> scan = torch.nn.Conv1d(4, 1, 7)
    >>> scan.weight.data, scan.bias.data = sl.one_hot_encode("TGACTCA").float()[None], torch.tensor([-4.0])
    >>> model = torch.nn.Sequential(scan, torch.nn.ReLU(), torch.nn.AdaptiveMaxPool1d(1), torch.nn.Flatten())
    >>> X = sl.substitute(sl.random_one_hot((40, 4, 100), random_state=0), "TGACTCA", start=50)
    >>> found = sl.calibrated_seqlets(model, X, sign="positive", random_state=0)
    >>> len(found.seqlets), bool(found.seqlets["start"].between(46, 54).all())
    (40, True)
    """
    require_sign(sign)
    check_options(min_seqlet_len=min_seqlet_len, max_seqlet_len=max_seqlet_len, flanks=additional_flanks, n_bins=n_bins)
    check_rate(target_fdr)
    X = require_one_hot(X)
    places = None if loci is None else as_loci(loci, len(X), X.shape[2])
    n = require_count(n_control, "n_control", least=1)
    # A fresh seed is small enough to add the numbers of shuffles and references.
    first = seed(random_state) if random_state is not None else seed(None) % (LARGEST_SEED // 2)
    # The control comes first, so that what only it refuses is refused before the sequences are attributed.
    control = shuffled_control(model, X, args, n=n, random_state=first, **options)
    attributions = deep_lift_shap(model, X, args, random_state=first, **options)
    assert isinstance(attributions, Tensor)
    found = recursive_seqlets(
        attributions.sum(dim=1),
        min_seqlet_len=min_seqlet_len,
        max_seqlet_len=max_seqlet_len,
        additional_flanks=additional_flanks,
        n_bins=n_bins,
        sign=sign,
        X_control=control,
        target_fdr=target_fdr,
        loci=places,
        return_fdr=True,
    )
    return CalibratedSeqlets(found.seqlets, found.fdr, attributions, control)
