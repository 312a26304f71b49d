"""Seqlets called in the attributions of each record."""

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
from seqlight.seqlets.annotation import annotate_seqlets
from seqlight.seqlets.recursive.caller import recursive_seqlets
from seqlight.sequence.checks import require_count
from seqlight_callbacks.arguments import require_choice
from seqlight_callbacks.attribution import AttributionCallback
from seqlight_callbacks.failures import prefix_errors
from seqlight_callbacks.probes import read_intervals
from seqlight_callbacks.recorder import Log, Recorder, RecordListener
from seqlight_callbacks.records import AttributionRecord
from seqlight_callbacks.scalars import seqlet_scalar_names, seqlet_scalars, strong_positive_seqlets
from seqlight_callbacks.tables import TableFormat, write_table
from seqlight_callbacks.trainer_state import is_dry_run, steps_trained
from seqlight_callbacks.training_folder import TrainingFolder

MOST_MOTIFS_LOGGED = 20


class SeqletCallback(RecordListener):
    """Call seqlets in each record of an AttributionCallback, as soon as it is made.

    Logged as ``name/...``:

    - ``count``, ``mean_length``, and ``attribution_share``, the share of the absolute attribution inside seqlets;
    - ``recall`` and ``precision`` of the strong positive seqlets, with `known`;
    - ``matched_share``, the share of the strong seqlets that match a motif, and ``match/MOTIF``, how many match this
      one best, with `motifs`.

    Numbers that do not exist for a record, such as a mean over no seqlets, are logged as 0, so that every record and
    every process logs the same keys. If a model has diverged, so that attributions are NaN, there are no seqlets: a
    warning says so, and the training goes on.

    Parameters
    ----------
    attribution : AttributionCallback or str, optional
        Whose records to use, itself or its name; None for the only one that the Trainer has.
    threshold : float
        As in :func:`seqlight.recursive_seqlets`.
    strong : float
        Seqlets with a smaller p-value are strong.
    known : pandas.DataFrame or path, optional
        Where seqlets are expected: a table, or a csv or tsv file, with the columns example_idx, start and end; or
        a BED file whose first column is the name of a sequence in its FASTA file, or its number.
    min_overlap : int
        Positions that a seqlet and a known interval must share.
    motifs : path, or mapping of str to array of shape (4, positions), optional
        Motifs to compare strong seqlets with, as in :func:`seqlight.annotate_seqlets`: a file of MEME or JASPAR, or
        frequencies or counts by name.
    max_q_value : float
        The largest q-value of a match.
    logged_motifs : sequence of str, optional
        The motifs that get a ``match/`` of their own; None for all of them, if there are at most 20.
    out : str or pathlib.Path, optional
        A folder for a table per record, ``epoch-001-step-00000012.csv``, written by the first process.
    table : "csv" or "parquet"
        The format of the tables; parquet needs pyarrow.
    name : str
        The prefix of what is logged, different for each callback of this class.

    Attributes
    ----------
    seqlets : pandas.DataFrame or None
        The last table; with `motifs` also the columns motif and motif_q-value, empty for seqlets that are not strong.

    Raises
    ------
    InputError
        If an argument cannot be used, when the callback is made; if it is not clear which AttributionCallback to use,
        when the Trainer starts.
    MissingExtra
        If pyarrow is needed and not installed.

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
        table: TableFormat = "csv",
        name: str = "seqlets",
    ) -> None:
        super().__init__(attribution, name)
        with prefix_errors(lambda: self.label):
            for key, p in (("threshold", threshold), ("strong", strong), ("max_q_value", max_q_value)):
                if not 0 < p <= 1:
                    raise InputError(f"{key} is {p}: expected a p-value above 0 and at most 1.")
            require_choice(table, get_args(TableFormat), "table")
            if table == "parquet":
                import_extra("pyarrow", "parquet")
            self.threshold, self.strong, self.max_q_value = threshold, strong, max_q_value
            self.min_overlap = require_count(min_overlap, "min_overlap", least=1)
            self.motifs = None if motifs is None else nucleotide_motifs(motifs)
            self.logged_motifs = _choose_logged(logged_motifs, list(self.motifs or ()))
            self.out, self.table = None if out is None else as_path(out, "out"), table
            self._folder = None if self.out is None else TrainingFolder(self.out, f".{table}", "tables")
        self._given_known = known
        self.known: pd.DataFrame | None = None
        self.seqlets: pd.DataFrame | None = None
        self.check_arguments()

    def check_against(self, recorder: Recorder) -> None:
        """Read the known intervals, which must be on the sequences of the recorder."""
        if self._given_known is not None:
            length = recorder.sequences.shape[2]
            self.known = read_intervals(self._given_known, recorder.sequence_names, length=length)

    def describe(self) -> str:
        """Return what it does, in a phrase."""
        compared = "" if self._given_known is None else ", compared with the known intervals"
        compared += "" if self.motifs is None else f", compared with {len(self.motifs)} motifs"
        out = "" if self.out is None else f", into {str(self.out)!r}"
        return f"seqlets at p < {self.threshold:g} in what {self.attribution_label} finds{compared}{out}"

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Find the AttributionCallback; refuse a folder that cannot be written to."""
        super().setup(trainer, pl_module, stage)
        if self._folder is not None:
            with prefix_errors(lambda: self.label):
                self._folder.require_writable()

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Warn of tables of another training, before this one adds its own."""
        if self._folder is not None and trainer.is_global_zero and not is_dry_run(trainer):
            # Here the steps of a checkpoint are not yet restored.
            self._folder.begin(resumed=trainer.ckpt_path is not None or bool(steps_trained(trainer)))

    def scalar_names(self) -> list[str]:
        """Return the names of the numbers that it logs for every record."""
        return seqlet_scalar_names(self.known is not None, None if self.motifs is None else self.logged_motifs)

    def on_record(self, trainer: L.Trainer, record: AttributionRecord, log: Log) -> None:
        """Call seqlets in a record, log their numbers, and keep the table."""
        track = record.attributions.sum(dim=1)
        if not bool(torch.isfinite(track).all()):
            warnings.warn("attributions are not finite, so no seqlets were called.", SeqlightWarning, stacklevel=2)
            # No position stands out among zeros: the table is empty, and has its columns.
            track = torch.zeros_like(track)
        seqlets = self.seqlets = run_on_first_rank(trainer, lambda: self._call_seqlets(track))
        motifs = None if self.motifs is None else self.logged_motifs
        log(self.name, seqlet_scalars(seqlets, track, self.strong, self.known, self.min_overlap, motifs))
        folder = self._folder
        if folder is not None:
            # After the table is kept and logged, in case it cannot be written.
            run_on_first_rank(trainer, lambda: write_table(seqlets, folder.path_for(record.name)))

    def strong_positive(self) -> pd.DataFrame:
        """Return the strong seqlets of the last record that raise the output.

        Raises
        ------
        InputError
            If there was no record yet.
        """
        if self.seqlets is None:
            raise InputError("no seqlets were called yet: expected at least one epoch with attributions.")
        return strong_positive_seqlets(self.seqlets, self.strong)

    def _call_seqlets(self, track: Tensor) -> pd.DataFrame:
        seqlets = recursive_seqlets(track, threshold=self.threshold)
        return seqlets if self.motifs is None else self._annotate(seqlets)

    def _annotate(self, seqlets: pd.DataFrame) -> pd.DataFrame:
        """Return the table with the motif that each strong seqlet matches, "" if there is none."""
        seqlets = seqlets.assign(motif="", **{"motif_q-value": float("nan")})
        rows = (seqlets["p-value"] < self.strong).to_numpy().nonzero()[0]
        if not len(rows):
            return seqlets
        with warnings.catch_warnings():
            # It warns that a few motifs make a poor null distribution; whoever passes a few wants just those.
            warnings.simplefilter("ignore", SeqlightWarning)
            assert self.motifs is not None
            found = annotate_seqlets(self.attribution.sequences, seqlets.iloc[rows], self.motifs, n_jobs=1)
        good = (found["motif_q-value"] <= self.max_q_value).to_numpy()
        seqlets.loc[seqlets.index[rows], "motif_q-value"] = found["motif_q-value"].to_numpy()
        seqlets.loc[seqlets.index[rows[good]], "motif"] = found.loc[good, "motif"].to_numpy()
        return seqlets


def _choose_logged(requested: Sequence[str] | None, motifs: Sequence[str]) -> list[str]:
    """Return the motifs whose matches are counted one by one, the same at every record and on every process."""
    if requested is None:
        return list(motifs) if len(motifs) <= MOST_MOTIFS_LOGGED else []
    unknown = [motif for motif in requested if motif not in motifs]
    if unknown:
        raise InputError(
            f"logged_motifs has {unknown[0]!r}, which is none of the {len(motifs)} motifs: use one of their names."
        )
    return list(requested)
