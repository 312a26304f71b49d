"""The tasks of the demo: data, a plain PyTorch model, and where the motif should be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pandas as pd
import torch
from torch import nn

from seqlight.datasets import ecoli, planted
from seqlight.datasets.labelled import LabelledSequences, LabelledSplit
from seqlight.report.ruler import Ruler


@dataclass(frozen=True)
class Task:
    """A task, with everything that its report needs.

    Attributes
    ----------
    title, question, answer : str
        What it is about, what is asked, and what is known of the answer.
    data : LabelledSequences
        Three splits.
    model : torch.nn.Module
        Untrained.
    epochs : int
        Enough to train this model.
    motif : str
        What the model has to find.
    window : tuple of int, optional
        Where the motif is, if it is in the same place in every sequence.
    ruler : Ruler
        How positions are numbered in figures.
    """

    title: str
    question: str
    answer: str
    data: LabelledSequences
    model: nn.Module
    epochs: int
    motif: str
    window: tuple[int, int] | None = None
    ruler: Ruler = field(default_factory=Ruler)

    def known(self, n: int) -> pd.DataFrame:
        """Return the motifs in the first `n` validation sequences: example_idx, start, end, motif."""
        motifs = self.data.valid.motifs
        table = pd.DataFrame({"example_idx": motifs.example_idx, "start": motifs.start, "end": motifs.end})
        table["motif"] = [self.data.motif_names[i] for i in motifs.motif]
        return table[table["example_idx"] < n].reset_index(drop=True)


def ecoli_task(seed: int) -> Task:
    """Return the task of finding the Shine-Dalgarno motif before translation starts of Escherichia coli."""
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
        ruler=Ruler(ecoli.UPSTREAM, "the start codon"),
    )


def planted_task(seed: int) -> Task:
    """Return the task of finding two motifs that were planted at known places in random sequences."""
    # In long sequences the sites are rare, and stand out from the null distribution of the seqlet caller.
    data = planted.load_planted(length=200, seed=seed)
    # If negatives had no motif, either of the two would be enough to tell positives apart.
    data = replace(
        data,
        train=restore_one_site(data.train),
        valid=restore_one_site(data.valid),
        test=restore_one_site(data.test),
    )
    torch.manual_seed(seed)
    length = data.train.X.shape[2]
    return Task(
        title="Does a model find planted motifs?",
        question="which random sequences have both an AP-1 and a CTCF site planted?",
        answer="Each positive has one AP-1 site (TGASTCA) and one core of a CTCF site (CCASYAGRKGGC) at random "
        "places that are known here. A negative is a positive, shuffled, with one of its two sites put back: "
        "a model can only win by finding both.",
        data=data,
        model=nn.Sequential(
            nn.Conv1d(4, 48, 13, padding=6),
            nn.ReLU(),
            nn.MaxPool1d(length),
            nn.Flatten(),
            nn.Dropout(0.1),
            nn.Linear(48, 32),
            nn.ReLU(),
            nn.Linear(32, 1),
        ),
        epochs=8,
        motif="planted sites",
    )


def restore_one_site(split: LabelledSplit) -> LabelledSplit:
    """Return the split with one site put back into each shuffled negative, where its positive has it.

    Parameters
    ----------
    split : LabelledSplit
        One negative per positive, with two motifs in each positive; even rows get the first back, odd rows the second.
    """
    X, n = split.X.clone(), len(split.X) // 2
    for row, start, end, motif in zip(*split.motifs, strict=True):
        if motif == row % 2:
            X[n + row, :, start:end] = X[row, :, start:end]
    return replace(split, X=X)


TASKS: dict[str, Callable[[int], Task]] = {"ecoli": ecoli_task, "planted": planted_task}
