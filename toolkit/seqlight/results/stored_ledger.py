"""The ledger of a run: which share of its output differences goes through what each module returns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from seqlight.attribution.layer_arrays import MOMENTS, TOTAL, ledger_names
from seqlight.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from seqlight.results.results import Results


def read_ledger(results: Results) -> pd.DataFrame:
    """Return the ledger of all rows of a run, which are read a shard at a time.

    Raises
    ------
    InputError
        If the run kept none.
    """
    # Here, since pandas takes a while to load.
    from seqlight.attribution.layer_ledger import LedgerSums

    names = ledger_names(results)
    if not names:
        raise InputError(
            f"{results.path} has no ledger: expected a run of `seqlight attribute --layers all`, or of "
            "DeepLiftShapModule(model, layers=True), with this version or a later one."
        )
    sums = LedgerSums()
    wanted = [*(f"{TOTAL}{name}" for name in names), MOMENTS, "outputs", "reference_outputs"]
    for arrays in zip(*(results[name].blocks() for name in wanted), strict=True):
        *totals, moments, outputs, baselines = (torch.from_numpy(np.array(one)) for one in arrays)
        sums.add(torch.stack(totals, dim=-1), moments, outputs.unsqueeze(-1) - baselines)
    return sums.table(names)
