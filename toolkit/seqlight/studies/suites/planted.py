"""The study by faithfulness: which implementations find the planted motifs that decide, and not the others."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import Literal

from torch import nn

from seqlight.studies.case import Case
from seqlight.studies.implementations.captum_smoothgrad import quiet_smoothgrad
from seqlight.studies.implementations.chance import CHANCE
from seqlight.studies.suites.planted_grammars import GRAMMARS, PlantedSequences, Rule, plant
from seqlight.studies.suites.small_networks import AttentionNetwork, convolutional_network, train_network
from seqlight.studies.suites.suite import CellSuite

Architecture = Literal["convolutional", "attention"]
LENGTH, ROWS, SEEDS = 120, 40, (0, 1, 2)
TRAINING_ROWS, TEST_ROWS, EPOCHS = 6000, 1000, 12
# All grammars are learnt with convolutions; where motifs are compared over a distance, attention learns it as well.
NETWORKS: tuple[tuple[Rule, Architecture], ...] = (
    ("single", "convolutional"),
    ("and", "convolutional"),
    ("or", "convolutional"),
    ("order", "convolutional"),
    ("spacing", "convolutional"),
    ("order", "attention"),
)
_MAKE = {"convolutional": convolutional_network, "attention": AttentionNetwork}
# The seeds of test sequences are this far from those of the sequences that were trained on.
_APART = 1000


@cache
def trained_network(
    grammar: Rule,
    architecture: Architecture,
    seed: int,
    *,
    rows: int = TRAINING_ROWS,
    epochs: int = EPOCHS,
    length: int = LENGTH,
) -> nn.Module:
    """Return a network trained on a grammar; the same object each time."""
    data = plant(GRAMMARS[grammar], rows, length, seed)
    return train_network(partial(_MAKE[architecture], length), data.X, data.y, seed, epochs=epochs)


def held_out(grammar: Rule, seed: int, *, rows: int = TEST_ROWS, length: int = LENGTH) -> PlantedSequences:
    """Return sequences that the network of this seed has not seen."""
    return plant(GRAMMARS[grammar], rows, length, seed + _APART)


def held_out_positives(grammar: Rule, seed: int, rows: int = ROWS) -> PlantedSequences:
    """Return the first positives of :func:`held_out`, which the implementations explain."""
    return PlantedSequences(*(one[::2][:rows] for one in held_out(grammar, seed)))


def planted_cases(seeds: Sequence[int] = SEEDS, rows: int = ROWS) -> dict[str, Case]:
    """Return a case for each grammar, architecture and seed; networks are trained when they are first asked for."""
    return {
        f"{grammar}, {architecture}: seed {seed}": _case(grammar, architecture, seed, rows)
        for grammar, architecture in NETWORKS
        for seed in seeds
    }


def _case(grammar: Rule, architecture: Architecture, seed: int, rows: int) -> Case:
    data = held_out_positives(grammar, seed, rows)
    source = (
        "from seqlight.studies.suites.planted import held_out_positives, trained_network\n"
        f'model = trained_network("{grammar}", "{architecture}", {seed})\n'
        f'X, y, motifs, decoys = held_out_positives("{grammar}", {seed}, {rows})'
    )
    return Case(partial(trained_network, grammar, architecture, seed), data.X, motifs=data.motifs, source=source)


SUITE = CellSuite(
    name="planted",
    title="By faithfulness",
    question="Which implementations find the motifs that decide the label of a sequence?",
    cases=planted_cases,
    implementations=(
        "seqlight",
        "tangermeme",
        "captum-deeplift",
        "captum-integrated-gradients",
        "shap",
        "mutagenesis",
        "input-x-gradient",
        "captum-smoothgrad",
        quiet_smoothgrad(),
        "captum-expected-gradients",
        "captum-occlusion",
        CHANCE,
    ),
    n_references=5,
    time_limit=120,
)
