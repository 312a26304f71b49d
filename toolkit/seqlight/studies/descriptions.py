"""What identifies the models, cases and implementations of a study: whatever differs here makes other cells."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from torch import Tensor, nn

from seqlight.files.digests import digest
from seqlight.results.fingerprints import describe_argument
from seqlight.results.identity.arrays import digest_of_array
from seqlight.results.identity.description import Description
from seqlight.results.identity.modules import uncompiled
from seqlight.studies.case import Case
from seqlight.studies.implementations.implementation import Implementation
from seqlight.studies.selected_output import what_is_read


def describe_model(model: nn.Module) -> dict[str, Any]:
    """Return what identifies a model.

    What cannot be described counts by its class: a user who changes such a thing has to name another folder.
    """
    found, read = Description(strict=False).describe_model(model), what_is_read(model)
    return found | {"read": read} if read else found


def describe_implementation(one: Implementation) -> dict[str, Any]:
    """Return what identifies an implementation, its code included, and what it promises."""
    return {
        "title": one.title,
        "package": one.package,
        "version": one.version,
        "complete": one.complete,
        "approximate": one.approximate,
        "signed": one.signed,
        "hypothetical": one.hypothetical,
        "code": describe_argument(one.contributions, one.name),
    }


def describe_case(case: Case, references: Tensor, random_state: int, threads: int) -> dict[str, Any]:
    """Return what identifies a case, its key, and how large it is.

    Parameters
    ----------
    case : Case
    references : torch.Tensor, shape (rows, references, letters, positions)
        Those that are explained.
    random_state : int
        The seed of what implementations draw.
    threads : int
        Threads of PyTorch in each process: sums of other threads are rounded otherwise.
    """
    model = uncompiled(case.make_model())
    facts = {
        "model": describe_model(model),
        "X": digest_of_array(case.X),
        "references": digest_of_array(references),
        "args": [digest_of_array(one) for one in case.args],
        "target": case.target,
    }
    return {
        "key": digest(facts, random_state, version("torch"), threads),
        **facts,
        "class": f"{type(model).__module__}.{type(model).__qualname__}",
        "rows": len(case.X),
        "n_references": references.shape[1],
        "positions": case.X.shape[2],
        "motifs": case.motifs is not None,
        "source": case.source,
    }
