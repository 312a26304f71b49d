"""Compare attributions with those that a test keeps in a file beside it, or write the file."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqlight.attribution.explanation import Explanation
from seqlight.attribution.references import ReferenceFunction
from seqlight.errors import InputError
from seqlight.files.digests import digest
from seqlight.sequence.shuffles import dinucleotide_shuffle
from seqlight.studies.golden.golden_difference import changed_facts, golden_difference
from seqlight.studies.golden.golden_record import GoldenRecord, read_golden, record_attributions, record_model
from seqlight.targets.contrast import Target

FOLDER = "attribution_golden"
OPTION = "--attribution-golden-update"
LONGEST = 100


class AttributionGolden:
    """What the fixture ``attribution_golden`` is: a function that compares, with a number for each call in a test.

    Parameters
    ----------
    file : pathlib.Path
        The file of the test.
    test : str
        Its name in there: "TestClass::test_name[parameter]".
    update : bool
        Whether to write golden records instead of comparing with them.
    written : callable
        Told the path of each file that is written.
    """

    def __init__(self, file: Path, test: str, update: bool, written: Callable[[Path], None]) -> None:
        self.file, self.test, self.update, self.written = file, test, update, written
        self.calls = 0

    def __call__(
        self,
        model: nn.Module | Explanation | Tensor | NDArray[Any],
        X: Tensor | None = None,
        target: Target = 0,
        *,
        references: Tensor | ReferenceFunction = dinucleotide_shuffle,
        args: Sequence[Tensor] | None = None,
        n_shuffles: int = 20,
        random_state: int = 0,
        dtype: torch.dtype | str | None = "float64",
        rtol: float = 1e-3,
    ) -> None:
        """Compare attributions with those of the file, or write them if pytest was asked to.

        Parameters
        ----------
        model : torch.nn.Module, Explanation, torch.Tensor or numpy.ndarray
            A model, which is attributed on the CPU by :func:`seqlight.attribute`; or ready attributions of any method,
            of shape (rows, ..., positions), and nothing but `rtol` after them.
        X : torch.Tensor, shape (rows, letters, positions)
            The sequences, for a model.
        target, references, args, n_shuffles, random_state
            As in :func:`seqlight.attribute`.
        dtype : torch.dtype or str, optional
            The dtype to compute in; None for the model's own. Processors round differently, and float64 rounds too
            little to decide anything, such as which of two nearly equal maxima is credited.
        rtol : float
            By how much attributions and outputs may differ, relative to the largest of their row or of the median row.

        Raises
        ------
        AssertionError
            If attributions or outputs moved, or there is no file to compare with; one sentence says which.
        InputError
            If an argument cannot be used.
        """
        __tracebackhide__ = True  # pytest shows the line of the test
        if not 0 <= rtol < 1:
            raise InputError(f"rtol is {rtol}: expected a number from 0 to below 1, such as 1e-3.")
        self.calls += 1
        if isinstance(model, nn.Module):
            if not isinstance(X, Tensor):
                raise InputError("attribution_golden got a model without sequences: pass attribution_golden(model, X).")
            record = record_model(
                model,
                X,
                args=args,
                target=target,
                references=references,
                n_shuffles=n_shuffles,
                random_state=random_state,
                dtype=dtype,
            )
        elif X is not None:
            raise InputError("attribution_golden got attributions with sequences: pass the attributions alone.")
        else:
            record = record_attributions(model)
        self._write(record) if self.update else self._compare(record, rtol)

    @property
    def path(self) -> Path:
        """The file of the current call."""
        return golden_path(self.file, self.test, self.calls)

    def _write(self, record: GoldenRecord) -> None:
        """Write a record, unless the file has an equal one: then it stays as it is, and so does the repository."""
        try:
            known = read_golden(self.path, self.test)
        except InputError:
            known = None
        if known and not golden_difference(known, record, 0) and not changed_facts(known.facts, record.facts):
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            record.save(self.path, self.test)
        except OSError as error:
            raise InputError(
                f"{self.path} cannot be written ({error.strerror}): {OPTION} needs a folder that can be written to."
            ) from None
        self.written(self.path)

    def _compare(self, record: GoldenRecord, rtol: float) -> None:
        __tracebackhide__ = True
        remedy = f"run `pytest {OPTION}` on this test"
        if not self.path.exists():
            raise AssertionError(
                f"there is no golden record {self._shown}: {remedy}, and commit the file if it is right."
            )
        try:
            known = read_golden(self.path, self.test)
        except InputError as error:
            raise AssertionError(str(error)) from None
        if moved := golden_difference(known, record, rtol):
            raise AssertionError(f"{moved}: if that is meant, {remedy} to replace {self._shown}.")

    @property
    def _shown(self) -> str:
        return str(self.path.relative_to(self.file.parent))


def golden_path(file: Path, test: str, call: int) -> Path:
    """Return where the golden record of a call in a test is kept.

    Parameters
    ----------
    file : pathlib.Path
        The file of the test.
    test : str
        The test's name, with its class and parameters.
    call : int
        1 for the first call in the test.

    Examples
    --------
    >>> golden_path(Path("tests/test_model.py"), "TestCnn::test_it[relu]", 2).as_posix()
    'tests/attribution_golden/test_model/TestCnn.test_it[relu]-2.npz'
    """
    name = test.replace("::", ".")
    kept = re.sub(r"[^\w.+=,@\[\]-]", "_", name, flags=re.ASCII)[:LONGEST]
    if kept != name:  # two names may have become one
        kept = f"{kept}-{digest(test)[:8]}"
    return file.parent / FOLDER / file.stem / f"{kept}{f'-{call}' * (call > 1)}.npz"
