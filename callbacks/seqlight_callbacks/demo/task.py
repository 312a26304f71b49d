"""What the demo can learn: data, a plain PyTorch model, and where the motif should be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import torch
from torch import nn

from seqlight.datasets import ecoli, planted
from seqlight.datasets.labelled import LabelledSequences


@dataclass(frozen=True)
class Task:
    """A task with all that its report has to tell.

    Attributes
    ----------
    title, question, answer : str
        What it is about, what is asked, what biology or the planting says.
    data : LabelledSequences
        In three splits.
    model : torch.nn.Module
        Untrained.
    epochs : int
        Enough for this model.
    motif : str
        What the model must find.
    window : tuple of int, optional
        Where the motif is in every sequence, where that is known.
    zero : int
        The position to call 0 in pictures.
    """

    title: str
    question: str
    answer: str
    data: LabelledSequences
    model: nn.Module
    epochs: int
    motif: str
    window: tuple[int, int] | None = None
    zero: int = 0

    def known(self, n: int) -> pd.DataFrame:
        """Return where motifs are in the first `n` validation sequences: example_idx, start, end."""
        motifs = self.data.valid.motifs
        table = pd.DataFrame({"example_idx": motifs.example_idx, "start": motifs.start, "end": motifs.end})
        return table[table["example_idx"] < n].reset_index(drop=True)


def ecoli_task(seed: int) -> Task:
    """Return the search for the Shine-Dalgarno motif before translation starts of Escherichia coli."""
    data = ecoli.load_ecoli_starts(seed)
    torch.manual_seed(seed)
    return Task(
        title="What does a model of translation starts look at?",
        question="which windows around an ATG of Escherichia coli are translation starts?",
        answer="A ribosome finds most starts by the Shine-Dalgarno motif, AGGAGG and its relatives, some 5 to 13 "
        "bases before the start codon. The negatives are the same windows with all before the start codon "
        "shuffled, so a model can only win by what is there.",
        data=data,
        model=nn.Sequential(
            nn.Conv1d(4, 48, 7, padding=3),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Conv1d(48, 32, 9, padding=4),
            nn.ReLU(),
            nn.MaxPool1d(4),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(480, 1),
        ),
        epochs=12,
        motif="Shine-Dalgarno window",
        window=(ecoli.MOTIF_START, ecoli.MOTIF_END),
        zero=ecoli.UPSTREAM,
    )


def planted_task(seed: int) -> Task:
    """Return the search for two motifs at known places in random sequences."""
    data = planted.load_planted(seed=seed)
    torch.manual_seed(seed)
    return Task(
        title="Does a model find planted motifs?",
        question="which random sequences have an AP-1 and a CTCF site planted?",
        answer="Each positive has one AP-1 site (TGASTCA) and one core of a CTCF site (CCASYAGRKGGC) at random "
        "places that are known here. A negative is a positive, shuffled.",
        data=data,
        model=nn.Sequential(
            nn.Conv1d(4, 32, 13, padding=6),
            nn.ReLU(),
            nn.MaxPool1d(4),
            nn.Conv1d(32, 32, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool1d(4),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(192, 1),
        ),
        epochs=6,
        motif="planted sites",
    )


TASKS: dict[str, Callable[[int], Task]] = {"ecoli": ecoli_task, "planted": planted_task}
