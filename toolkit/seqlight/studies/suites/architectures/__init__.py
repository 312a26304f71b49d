"""The suite by architecture: models as their authors write them, untrained and trained on planted motifs.

A file for each family; ``architecture`` says how they are made and trained; ``matrix`` has nine small networks.
"""

from __future__ import annotations

from functools import partial

from seqlight.sequence.shuffles import dinucleotide_shuffle
from seqlight.studies.case import Case
from seqlight.studies.suites.architectures import (
    basenji,
    basset,
    beluga,
    both_strands,
    bpnet,
    chrombpnet,
    danq,
    deepsea,
    enformer,
    explainn,
    gated_cnn,
    hyena,
    legnet,
    mamba,
    matrix,
    multitask,
    resnet,
    scbasset,
    spliceai,
    transformer,
)
from seqlight.studies.suites.architectures.architecture import (
    Architecture,
    make_trained,
    make_untrained,
    mark_sites,
    planted,
)
from seqlight.studies.suites.suite import CellSuite

ROWS = 4
IMPLEMENTATIONS = (
    *("seqlight", "tangermeme", "captum-deeplift", "shap"),
    *("captum-integrated-gradients", "captum-expected-gradients", "mutagenesis", "input-x-gradient"),
)
ARCHITECTURES: tuple[Architecture, ...] = (
    deepsea.ARCHITECTURE,
    beluga.ARCHITECTURE,
    basset.ARCHITECTURE,
    scbasset.ARCHITECTURE,
    basenji.ARCHITECTURE,
    bpnet.COUNTS,
    bpnet.PROFILE,
    bpnet.EARLY,
    chrombpnet.ARCHITECTURE,
    spliceai.ARCHITECTURE,
    resnet.ARCHITECTURE,
    multitask.ARCHITECTURE,
    both_strands.ARCHITECTURE,
    explainn.ARCHITECTURE,
    gated_cnn.ARCHITECTURE,
    legnet.ARCHITECTURE,
    danq.ARCHITECTURE,
    danq.SELENE,
    transformer.ARCHITECTURE,
    enformer.ARCHITECTURE,
    hyena.ARCHITECTURE,
    mamba.ARCHITECTURE,
)


def cases() -> dict[str, Case]:
    """Return each architecture untrained and trained, and the networks of the matrix; models are made when asked."""
    split = planted("test")
    X, motifs = split.X[:ROWS], mark_sites(split)[:ROWS] > 0
    found = {}
    for one in ARCHITECTURES:
        for state, make in (("untrained", make_untrained), ("trained", make_trained)):
            name = f"{one.name}: {state}"
            marked = motifs if state == "trained" else None
            found[name] = Case(partial(make, one), X, motifs=marked, source=_source(name, one.source))
    references = dinucleotide_shuffle(X, n=5, random_state=0)
    for network, make_network in matrix.makers().items():
        source = _source(f"matrix: {network}", "a network of a few lines, untrained")
        found[f"matrix: {network}"] = Case(make_network, X, references, source=source)
    return found


def _source(name: str, origin: str) -> str:
    """Return the lines that make the model of a case."""
    return (
        f"# {origin}\n"
        "from seqlight.studies.suites.architectures import SUITE\n"
        f'model = SUITE.cases()["{name}"].make_model()'
    )


SUITE = CellSuite(
    "architectures",
    "By architecture",
    "Which implementation is complete on which architecture, as its authors write it, untrained and trained?",
    cases,
    IMPLEMENTATIONS,
    dtypes=("float64", "float32"),
    time_limit=120,
)
