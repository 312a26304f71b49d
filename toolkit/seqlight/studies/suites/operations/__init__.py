"""The study by operation: who is right about each operation of PyTorch, in each way to write it.

A case is a convolution, one operation, and a linear readout. Its name is ``operation: kind name, arguments``, such as
``relu: function torch.relu`` or ``maximum: method Tensor.maximum, both``:

``operation``
    the name of an entry in the table of rules, or of a module of torch.nn that needs no rule
``kind``
    one of `KINDS`: a module, a function, a method, an operator, in place, a user's subclass of the module, the module
    used twice, or the module right behind a ReLU
``name``
    what is called
``arguments``
    where there are several kinds: "constant" or "both" say what depends on the sequence, besides the first operand

`parse_case` takes a name apart. All spellings of one operation have the same weights.
"""

from __future__ import annotations

import zlib
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqlight.sequence.one_hot import random_one_hot
from seqlight.sequence.shuffles import dinucleotide_shuffle
from seqlight.studies.case import Case
from seqlight.studies.suites.operations.arguments import DOMAINS, REAL
from seqlight.studies.suites.operations.model import OperationModel, write_source
from seqlight.studies.suites.operations.spellings import KINDS, Spelling, all_spellings
from seqlight.studies.suites.suite import CellSuite

ROWS, LENGTH, REFERENCES = 4, 18, 3


class CaseName(NamedTuple):
    """The parts of the name of a case."""

    operation: str
    kind: str
    name: str
    arguments: str


def parse_case(title: str) -> CaseName:
    """Take the name of a case apart.

    Examples
    --------
    >>> parse_case("maximum: in place torch.maximum, both")
    CaseName(operation='maximum', kind='in place', name='torch.maximum', arguments='both')
    """
    operation, _, rest = title.partition(": ")
    kind = next(one for one in KINDS if rest.startswith(one))
    name, _, arguments = rest.removeprefix(kind).strip().partition(", ")
    return CaseName(operation, kind, name, arguments)


def settings_of(spelling: Spelling) -> dict[str, Any]:
    """Return the arguments of the model of a spelling."""
    return {
        "expression": spelling.expression,
        "module": spelling.module,
        "domain": DOMAINS.get(spelling.operation, REAL),
        "reused": spelling.kind == "reused",
        "rectified": spelling.kind == "behind a ReLU",
    }


def make_model(spelling: Spelling) -> OperationModel:
    """Return the model of a spelling; the same operation has the same weights in all of them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(zlib.crc32(spelling.operation.encode()))
        return OperationModel(**settings_of(spelling), length=LENGTH).eval()


def make_data() -> tuple[Tensor, Tensor]:
    """Return sequences of all cases, shape (rows, 4, positions), and references, (rows, references, 4, positions)."""
    X = random_one_hot((ROWS, 4, LENGTH), random_state=0)
    return X, dinucleotide_shuffle(X, n=REFERENCES, random_state=0)


def make_cases() -> dict[str, Case]:
    """Return the cases by name."""
    X, references = make_data()
    return {
        one.title: Case(partial(make_model, one), X, references, source=write_source(**settings_of(one)))
        for one in all_spellings()
    }


SUITE = CellSuite(
    name="operations",
    title="By operation",
    question="Which operations of PyTorch does each implementation explain completely, in each way to write them?",
    cases=make_cases,
    implementations=("seqlight", "tangermeme", "captum-deeplift", "captum-integrated-gradients", "shap"),
)
