"""How much attributions depend on what sequences are compared with, and how many references they need."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from seqlight.attribution.explanation import Explanation
from seqlight.attribution.methods.deeplift_explanation import attribute
from seqlight.attribution.references import References
from seqlight.datasets.ecoli import MOTIF_END, MOTIF_START, load_ecoli_starts
from seqlight.errors import ReferencesWarning
from seqlight.sequence.one_hot import characters, one_hot_encode
from seqlight.sequence.shuffles import dinucleotide_shuffle, shuffle
from seqlight.studies.agreement import likeness, motif_agreement
from seqlight.studies.constant_references import uniform_references, zero_references
from seqlight.studies.suites.permutations import draw_dinucleotide_permutation
from seqlight.studies.suites.planted import held_out, held_out_positives, trained_network
from seqlight.studies.suites.small_networks import train_ecoli_network
from seqlight.studies.suites.suite import TableSuite

ROWS, REFERENCES, MOST, LONG_RUN = 12, 300, 1000, 2000
TOLERANCES = (0.1, 0.05)
# What is wanted: a standard error of this share of the attributions.
WANTED = (0.05, 0.01)
USUAL = 20
# Pairs of a sequence and a reference that a network gets at a time.
BATCH = 500
BASIS = "dinucleotide shuffle"
OTHER_SEEDS = f"{BASIS}, other seeds"

# Returns `n` references of each sequence, shape (rows, n, letters, positions); a seed for each of them.
Source = Callable[..., Tensor]


class Subject(NamedTuple):
    """A trained network, the sequences to explain, and others of the kind that it was trained on.

    Attributes
    ----------
    model : torch.nn.Module
    X : torch.Tensor, int8, shape (rows, 4, positions)
    motifs : torch.Tensor of bool, shape (rows, positions)
    others : torch.Tensor, int8, shape (sequences, 4, positions)
    """

    model: nn.Module
    X: Tensor
    motifs: Tensor
    others: Tensor


def planted_subject(grammar: Any, rows: int = ROWS) -> Subject:
    """Return a network that has learned a grammar of planted motifs, with positives; the others are of both labels."""
    data = held_out_positives(grammar, 0, rows)
    return Subject(trained_network(grammar, "convolutional", 0), data.X, data.motifs, held_out(grammar, 1).X)


def ecoli_subject(rows: int = ROWS) -> Subject:
    """Return a network that has learned translation starts of Escherichia coli; the others are those of other genes."""
    data = load_ecoli_starts()
    model = train_ecoli_network(data.train)
    X = data.test.X[data.test.y > 0][:rows]
    motifs = torch.zeros(len(X), X.shape[2], dtype=torch.bool)
    motifs[:, MOTIF_START:MOTIF_END] = True
    return Subject(model, X, motifs, data.train.X[data.train.y > 0])


SUBJECTS: Mapping[str, Callable[[], Subject]] = {
    "planted, A and B": partial(planted_subject, "and"),
    "planted, A or B": partial(planted_subject, "or"),
    "E. coli starts": ecoli_subject,
}


def uniform_dinucleotide_shuffle(X: Tensor, n: int = 1, random_state: int = 0) -> Tensor:
    """Return uniform draws from all sequences with the same pairs of neighbours."""
    stream = np.random.RandomState(random_state)
    texts = [str(characters(one)) for one in X]
    return torch.stack(
        [torch.stack([one_hot_encode(draw_dinucleotide_permutation(text, stream)) for _ in range(n)]) for text in texts]
    )


def draw_others(others: Tensor, X: Tensor, n: int = 1, random_state: int = 0) -> Tensor:
    """Return sequences drawn from others."""
    chosen = np.random.RandomState(random_state).randint(len(others), size=(len(X), n))
    return others[torch.from_numpy(chosen)]


def sources(subject: Subject) -> dict[str, tuple[Source, bool]]:
    """Return what draws references, by name, and whether there is more than one of them."""
    return {
        BASIS: (dinucleotide_shuffle, True),
        "uniform dinucleotide shuffle": (uniform_dinucleotide_shuffle, True),
        "shuffle": (shuffle, True),
        "other sequences": (partial(draw_others, subject.others), True),
        "a quarter of each letter": (uniform_references, False),
        "zeros": (zero_references, False),
    }


def explain(subject: Subject, source: Source, n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return attributions against `n` references, and their standard error, both of shape (rows, positions)."""
    found = attribute(
        subject.model, subject.X, references=source, n_shuffles=n, batch_size=BATCH, keep_references=False,
        device="cpu", random_state=seed,
    )  # fmt: skip
    return _of_characters(subject, found)


def _of_characters(subject: Subject, found: Explanation) -> tuple[Tensor, Tensor]:
    assert found.standard_error is not None
    return found.attributions.double().sum(dim=1), (found.standard_error.double() * subject.X).sum(dim=1)


def _share(error: Tensor, size: Tensor) -> Tensor:
    """Return the root mean square of one as a share of that of the other, for each row."""
    squares = error.square().sum(dim=1) / size.square().sum(dim=1)
    return squares.sqrt()


def likeness_tables(
    subjects: Mapping[str, Callable[[], Subject]] = SUBJECTS, n: int = REFERENCES
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return how alike attributions against different references are.

    Returns
    -------
    pandas.DataFrame
        A row for each network and kind of references: likeness to attributions against dinucleotide shuffles, how much
        is in the motifs, and the mean output of the references. "Other seeds" are as many shuffles again: what is less
        alike than these depends on the kind of references, and not on the draw.
    pandas.DataFrame
        Pearson's correlation of each pair of kinds.
    """
    rows, pairs = [], []
    for name, make_subject in subjects.items():
        subject = make_subject()
        drawn = sources(subject).items()
        found = {kind: explain(subject, source, n if many else 1)[0] for kind, (source, many) in drawn}
        found[OTHER_SEEDS] = explain(subject, dinucleotide_shuffle, n, seed=10_000_000)[0]
        for kind, values in found.items():
            alike, there = likeness(values, found[BASIS]), motif_agreement(values, subject.motifs)
            rows.append({"network": name, "references": kind, **alike, **there, "output": _output(subject, kind)})
        for (one, a), (other, b) in product(found.items(), repeat=2):
            pairs.append({"network": name, "references": one, "others": other, "r": likeness(a, b)["r"]})
    return pd.DataFrame(rows), pd.DataFrame(pairs)


@torch.no_grad()
def _output(subject: Subject, kind: str) -> float:
    """Return the mean output of some references of a kind."""
    source, _ = sources(subject).get(kind, (dinucleotide_shuffle, True))
    references = References(source, subject.X, 10, 0).draw(0, len(subject.X))
    return float(subject.model(references.flatten(0, 1).float())[:, 0].mean())


def count_table(
    subjects: Mapping[str, Callable[[], Subject]] = SUBJECTS,
    tolerances: tuple[float, ...] = TOLERANCES,
    most: int = MOST,
    long_run: int = LONG_RUN,
) -> pd.DataFrame:
    """Return how many references attributions need, and whether their standard error says how far off they are.

    Returns
    -------
    pandas.DataFrame
        A row for each network, kind of references and way to choose their number: 20, as by default, or
        ``n_shuffles="auto"`` with a tolerance. For the median sequence: the number of references; the standard error,
        as a share of the attributions (root mean squares over positions); and the distance from attributions against
        `long_run` other references, as the same share. `needed_5` and `needed_1` are how many references would bring
        the standard error to 5 and to 1 %, by the standard error of the long run, and `unfinished` is the share of
        sequences that stopped at `most`.
    """
    rows: list[dict[str, Any]] = []
    for name, make_subject in subjects.items():
        subject = make_subject()
        for kind, (source, many) in sources(subject).items():
            # Uniform draws need as many, and take longer to draw.
            if many and source is not uniform_dinucleotide_shuffle:
                counted = _count_rows(subject, source, tolerances, most, long_run)
                rows.extend({"network": name, "references": kind, **row} for row in counted)
    return pd.DataFrame(rows)


def _count_rows(
    subject: Subject, source: Source, tolerances: tuple[float, ...], most: int, long_run: int
) -> Iterator[dict[str, Any]]:
    exact, error = explain(subject, source, long_run, seed=20_000_000)
    # The standard error falls with the root of the number.
    needed = {
        f"needed_{share:.0%}".rstrip("%"): float((long_run * (_share(error, exact) / share) ** 2).median())
        for share in WANTED
    }
    usual = explain(subject, source, USUAL)
    yield {"chosen": f"{USUAL}", **_distances(*usual, exact), "references_median": USUAL, "unfinished": 0.0, **needed}
    for tolerance in tolerances:
        with warnings.catch_warnings():
            # How many sequences need more is a column.
            warnings.simplefilter("ignore", ReferencesWarning)
            found = attribute(
                subject.model, subject.X, references=source, n_shuffles="auto", tolerance=tolerance,
                max_shuffles=most, batch_size=BATCH // 10, keep_references=False, device="cpu", random_state=0,
            )  # fmt: skip
        assert found.n_references is not None
        row = _distances(*_of_characters(subject, found), exact)
        unfinished = float((_share(*reversed(_of_characters(subject, found))) > tolerance).double().mean())
        median = float(found.n_references.double().median())
        yield {
            "chosen": f"auto, {tolerance:.0%}",
            **row,
            "references_median": median,
            "unfinished": unfinished,
            **needed,
        }


def _distances(found: Tensor, error: Tensor, exact: Tensor) -> dict[str, float]:
    return {
        "standard_error": float(_share(error, found).median()),
        "distance": float(_share(found - exact, exact).median()),
    }


def _tables() -> dict[str, pd.DataFrame]:
    likenesses, pairs = likeness_tables()
    return {"likeness": likenesses, "pairs": pairs, "count": count_table()}


SUITE = TableSuite(
    name="references",
    title="By reference",
    question="How much do attributions depend on the references, and how many of them do they need?",
    tables=_tables,
)
