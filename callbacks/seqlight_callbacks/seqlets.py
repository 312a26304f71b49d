"""Seqlets in the attributions of each epoch."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import lightning.pytorch as L
import pandas as pd
import torch
from torch import Tensor

from seqlight.errors import InputError, SeqlightWarning
from seqlight.extras import import_extra
from seqlight.files.paths import as_path
from seqlight.formats.motifs import nucleotide_motifs
from seqlight.lit.collectives import run_on_first_rank
from seqlight.metrics.overlap import overlap
from seqlight.seqlets.annotation import annotate_seqlets
from seqlight.seqlets.recursive.caller import recursive_seqlets
from seqlight.sequence.checks import require_count
from seqlight_callbacks.attribution import AttributionCallback
from seqlight_callbacks.failures import prefix_errors
from seqlight_callbacks.probes import read_intervals
from seqlight_callbacks.recorder import Follower, Log, Recorder
from seqlight_callbacks.records import AttributionRecord
from seqlight_callbacks.tables import Format, write_table
from seqlight_callbacks.trainer_state import idle, steps_trained
from seqlight_callbacks.training_folder import Folder

MOST_MOTIFS_LOGGED = 20


class SeqletCallback(Follower):
    """Call seqlets in what an AttributionCallback recorded, as soon as it has.

    Logged, behind ``name/``:

    - ``count``, ``mean_length`` and ``attribution_share``: of the absolute attribution, the part inside seqlets;
    - ``recall`` and ``precision``, with `known`: of the strong positive seqlets;
    - ``matched_share``, with `motifs`: of the strong seqlets, those that look like one of them; and
      ``match/MOTIF``: how many look most like this one.

    Numbers that do not exist in an epoch, such as a mean over no seqlets, are logged as 0, so that every epoch and
    every process logs the same keys. A model that diverged, so that attributions are NaN, has no seqlets: that is a
    warning, not the end of the training.

    Parameters
    ----------
    attribution : AttributionCallback or str, optional
        Whom to follow, itself or its name; None for the only one that the Trainer has.
    threshold : float
        As in :func:`seqlight.recursive_seqlets`.
    strong : float
        Seqlets with a smaller p-value are strong.
    known : pandas.DataFrame or path, optional
        Where seqlets are hoped to be: a table, or a csv or tsv file, with the columns example_idx, start and end; or
        a BED file that has in its first column the name of a sequence in its FASTA file, or its number.
    min_overlap : int
        Positions that a seqlet and a known interval must share.
    motifs : path, or mapping of str to array of shape (4, positions), optional
        To compare strong seqlets with, as in :func:`seqlight.annotate_seqlets`: a file in MEME format, or
        frequencies by name, or counts.
    max_q_value : float
        A match is not worse than this.
    logged_motifs : sequence of str, optional
        Which of `motifs` get a ``match/`` of their own; None for all of them, if they are at most 20.
    out : str or pathlib.Path, optional
        A folder for a table of each record, ``epoch-001-step-00000012.csv``, written by the first process.
    table : "csv" or "parquet"
        How to write it; the latter needs pyarrow.
    name : str
        The prefix of what is logged, one for each callback of this kind.

    Attributes
    ----------
    seqlets : pandas.DataFrame or None
        The last table; with `motifs` the columns motif and motif_q-value, which are empty for what is not strong.

    Raises
    ------
    InputError
        If an argument cannot be used, when the callback is made; if it is not clear whom to follow, when the Trainer
        starts.
    MissingExtra
        If pyarrow is needed for parquet, and not installed.

    Examples
    --------
    >>> import seqlight as sl
    >>> from seqlight_callbacks import AttributionCallback, SeqletCallback
    >>> attribution = AttributionCallback(sl.random_one_hot((8, 4, 60), random_state=0), n_shuffles=5)
    >>> callbacks = [attribution, SeqletCallback()]
    """

    def __init__(
        self,
        attribution: AttributionCallback | str | None = None,
        *,
        threshold: float = 0.01,
        strong: float = 0.001,
        known: pd.DataFrame | str | Path | None = None,
        min_overlap: int = 1,
        motifs: str | Path | Mapping[str, Any] | None = None,
        max_q_value: float = 0.1,
        logged_motifs: Sequence[str] | None = None,
        out: str | Path | None = None,
        table: Format = "csv",
        name: str = "seqlets",
    ) -> None:
        super().__init__(attribution, name)
        with prefix_errors(lambda: self.who):
            for key, p in (("threshold", threshold), ("strong", strong), ("max_q_value", max_q_value)):
                if not 0 < p <= 1:
                    raise InputError(f"{key} is {p}: expected a p-value above 0 and at most 1.")
            if table not in get_args(Format):
                raise InputError(f"table is {table!r}: expected one of {', '.join(map(repr, get_args(Format)))}.")
            if table == "parquet":
                import_extra("pyarrow", "parquet")
            self.threshold, self.strong, self.max_q_value = threshold, strong, max_q_value
            self.min_overlap = require_count(min_overlap, "min_overlap", least=1)
            self.motifs = None if motifs is None else nucleotide_motifs(motifs)
            self.logged_motifs = _logged(logged_motifs, list(self.motifs or ()))
            self.out, self.table = None if out is None else as_path(out, "out"), table
            self._folder = None if self.out is None else Folder(self.out, f".{table}", "tables")
        self._known = known
        self.known: pd.DataFrame | None = None
        self.seqlets: pd.DataFrame | None = None
        if self._followed is not None:
            self.require(self._followed)

    def check(self, attribution: Recorder) -> None:
        """Read the known intervals, which must be of its sequences."""
        if self._known is not None:
            length = attribution.sequences.shape[2]
            self.known = read_intervals(self._known, attribution.sequence_names, length=length)

    def does(self) -> str:
        """Return what it does, in a phrase."""
        beside = "" if self._known is None else ", compared with the known intervals"
        beside += "" if self.motifs is None else f", compared with {len(self.motifs)} motifs"
        out = "" if self.out is None else f", into {str(self.out)!r}"
        return f"seqlets at p < {self.threshold:g} in what {self.whom()} finds{beside}{out}"

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Find whom to follow; refuse a place that cannot be written to."""
        super().setup(trainer, pl_module, stage)
        if self._folder is not None:
            with prefix_errors(lambda: self.who):
                self._folder.require()

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say now what would be mixed up after the first epoch."""
        if self._folder is not None and trainer.is_global_zero and not idle(trainer):
            self._folder.begin(resumed=bool(steps_trained(trainer)))

    def names(self) -> list[str]:
        """Return the names of the numbers that every record has."""
        names = ["count", "mean_length", "attribution_share"]
        if self.known is not None:
            names += ["recall", "precision"]
        if self.motifs is not None:
            names += ["matched_share", *(f"match/{motif}" for motif in self.logged_motifs)]
        return names

    def follow(self, trainer: L.Trainer, record: AttributionRecord, log: Log) -> None:
        """Call, log and keep the table."""
        track = record.attributions.sum(dim=1)
        if not bool(torch.isfinite(track).all()):
            warnings.warn("attributions are not finite, so no seqlets were called.", SeqlightWarning, stacklevel=2)
            # Nothing is rare where nothing differs: an empty table, with its columns.
            track = torch.zeros_like(track)
        seqlets = self.seqlets = run_on_first_rank(trainer, lambda: self._called(track))
        log(self.name, self._numbers(seqlets, track))
        folder = self._folder
        if folder is not None:
            # The table is there, whatever becomes of its file.
            run_on_first_rank(trainer, lambda: write_table(seqlets, folder.file(record.name)))

    def strong_positive(self) -> pd.DataFrame:
        """Return the strong seqlets of the last epoch that raise the output.

        Raises
        ------
        InputError
            If none were called yet.
        """
        if self.seqlets is None:
            raise InputError("no seqlets were called yet: expected at least one epoch with attributions.")
        chosen = (self.seqlets["p-value"] < self.strong) & (self.seqlets["attribution"] > 0)
        return self.seqlets[chosen].reset_index(drop=True)

    def _called(self, track: Tensor) -> pd.DataFrame:
        seqlets = recursive_seqlets(track, threshold=self.threshold)
        return seqlets if self.motifs is None else self._matched(seqlets)

    def _matched(self, seqlets: pd.DataFrame) -> pd.DataFrame:
        """Return the table with the motif that each strong seqlet looks like, "" where that is none."""
        seqlets = seqlets.assign(motif="", **{"motif_q-value": float("nan")})
        rows = (seqlets["p-value"] < self.strong).to_numpy().nonzero()[0]
        if not len(rows):
            return seqlets
        with warnings.catch_warnings():
            # A few motifs are a poor null, but whoever gives a few wants those.
            warnings.simplefilter("ignore", SeqlightWarning)
            assert self.motifs is not None
            found = annotate_seqlets(self.attribution.sequences, seqlets.iloc[rows], self.motifs, n_jobs=1)
        good = (found["motif_q-value"] <= self.max_q_value).to_numpy()
        seqlets.loc[seqlets.index[rows], "motif_q-value"] = found["motif_q-value"].to_numpy()
        seqlets.loc[seqlets.index[rows[good]], "motif"] = found.loc[good, "motif"].to_numpy()
        return seqlets

    def _numbers(self, seqlets: pd.DataFrame, track: Tensor) -> dict[str, float]:
        inside = torch.zeros_like(track, dtype=torch.bool)
        for i, start, end in seqlets[["example_idx", "start", "end"]].itertuples(index=False):
            inside[i, start:end] = True
        lengths = seqlets["end"] - seqlets["start"]
        numbers = {
            "count": float(len(seqlets)),
            "mean_length": float(lengths.mean()) if len(seqlets) else 0.0,
            "attribution_share": float(track[inside].abs().sum()) / max(float(track.abs().sum()), 1e-30),
        }
        if self.known is not None:
            strong = self.strong_positive()
            found = overlap(strong, self.known, self.min_overlap)
            numbers["recall"] = found.recall if len(self.known) else 0.0
            numbers["precision"] = found.precision if len(strong) else 0.0
        if self.motifs is not None:
            strong = seqlets[seqlets["p-value"] < self.strong]
            counts = strong["motif"].value_counts()
            numbers["matched_share"] = float((strong["motif"] != "").mean()) if len(strong) else 0.0
            numbers |= {f"match/{motif}": float(counts.get(motif, 0)) for motif in self.logged_motifs}
        return numbers


def _logged(asked: Sequence[str] | None, there: Sequence[str]) -> list[str]:
    """Return which motifs get a number of their own: the same ones in every epoch and on every process."""
    if asked is None:
        return list(there) if len(there) <= MOST_MOTIFS_LOGGED else []
    unknown = [motif for motif in asked if motif not in there]
    if unknown:
        raise InputError(f"logged_motifs has {unknown[0]!r}, which is none of the {len(there)} motifs: spell it alike.")
    return list(asked)
