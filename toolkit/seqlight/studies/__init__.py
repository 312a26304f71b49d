"""Validation studies: which implementation of attribution can be believed, on which model, and by how much.

``study``
    `Study`: every implementation on every model, each in a process of its own
``results``
    `StudyResults`: the cells, their contributions, and what follows from them; read from the folder of a study
``case``, ``descriptions``, ``cell``
    what is asked of an implementation, what identifies it, and what came of it
``agreement``
    the numbers: how far contributions add up, and how alike two implementations are
``report``
    what a study says about a model, in sentences, figures and a page
``notebook_tables``
    what a notebook shows of a study
``comparison``
    `compare`: two runs of a study, with what changed, for CI
``golden``
    the pytest fixture `attribution_golden`, for the tests of a model
``implementations``
    ours and those of others, under one small interface
``suites``
    cases for studies by operation, by architecture, and others
``randomization``
    `parameter_randomization`: do attributions change when the layers of a model are re-initialised?
``schedule``, ``workers``, ``folder``, ``provenance``
    which cells are missing, the processes that compute them, and where they are kept
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seqlight.studies.case import Case as Case
    from seqlight.studies.comparison.comparison import Comparison as Comparison
    from seqlight.studies.comparison.comparison import compare as compare
    from seqlight.studies.implementations.implementation import Implementation as Implementation
    from seqlight.studies.implementations.implementation import Suspect as Suspect
    from seqlight.studies.implementations.registry import known_implementations as known_implementations
    from seqlight.studies.implementations.stored_array import stored_array as stored_array
    from seqlight.studies.randomization.check import parameter_randomization as parameter_randomization
    from seqlight.studies.randomization.result import ParameterRandomization as ParameterRandomization
    from seqlight.studies.results import StudyResults as StudyResults
    from seqlight.studies.results import open_study as open_study
    from seqlight.studies.study import Study as Study

_HOME = {
    "Study": "study",
    "StudyResults": "results",
    "open_study": "results",
    "compare": "comparison.comparison",
    "Comparison": "comparison.comparison",
    "Case": "case",
    "Implementation": "implementations.implementation",
    "Suspect": "implementations.implementation",
    "known_implementations": "implementations.registry",
    "parameter_randomization": "randomization.check",
    "ParameterRandomization": "randomization.result",
    "stored_array": "implementations.stored_array",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'seqlight.studies' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"seqlight.studies.{_HOME[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
