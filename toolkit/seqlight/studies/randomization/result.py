"""What the parameter-randomisation check finds."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from torch import Tensor

COLUMNS = ("layer", "module", "how", "layers", "rank_correlation", "least", "magnitude_rank_correlation", "r")


@dataclass(frozen=True, eq=False)
class ParameterRandomization:
    """How similar attributions are to those of the same model with its layers re-initialised.

    Attributes
    ----------
    table : pandas.DataFrame
        A row for each step, from the output on. `layer` is the last one that was re-initialised, `module` its class and
        `how` the way; `layers` counts all that were by then. `rank_correlation` (Spearman), `r` (Pearson) and
        `magnitude_rank_correlation`, that of absolute attributions, are means over sequences and draws; `least` is the
        rank correlation, whatever its sign, of the draw with the smallest.
    attributions : torch.Tensor, shape (sequences, letters, positions)
        Those of the model as it is.
    threshold : float
        From which `least` on attributions are alike.
    n_draws : int
        How often the layers were re-initialised.
    """

    table: pd.DataFrame
    attributions: Tensor
    threshold: float
    n_draws: int

    @property
    def alike(self) -> bool:
        """Whether attributions stay alike, in each draw, although all layers are re-initialised."""
        return bool(self.table["least"].iloc[-1] >= self.threshold)

    @property
    def sentence(self) -> str:
        """What was found, what was expected, and what to do."""
        last = self.table.iloc[-1]
        found = (
            f"with all layers re-initialised ({last.layers}), the attributions of {len(self.attributions)} sequences "
            f"have a rank correlation of {last.rank_correlation:.2f} with those of the model"
        )
        if not self.alike:
            return f"{found}: they depend on its parameters."
        return (
            f"{found}, of at least {last.least:.2f} in each of {self.n_draws} draws: expected less than "
            f"{self.threshold:g}, as attributions should depend on what was learned; look for a part that decides the "
            "output without parameters, such as a fixed transformation of the input, or try another method."
        )

    def __str__(self) -> str:
        return f"{self.table.to_string(index=False, float_format='{:.2f}'.format)}\n{self.sentence}"
