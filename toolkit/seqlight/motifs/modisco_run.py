"""Run TF-MoDISco, the program ``modisco`` of the package modisco-lite, on a folder of results."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from seqlight.errors import InputError
from seqlight.files.atomic import atomic_write
from seqlight.motifs.patterns import read_window
from seqlight.motifs.programs import find_program, run_program, spell
from seqlight.sequence.checks import require_count

PROGRAM = "modisco"
INSTALL = "pip install modisco-lite"
# The default of `modisco motifs`: motifs are looked for in so many positions around the middle.
WINDOW = 400


@dataclass(frozen=True)
class ModiscoRun:
    """How TF-MoDISco is run.

    Attributes
    ----------
    sequences, attributions : pathlib.Path
        Its input, as ``seqlight export --to modisco`` writes it.
    out : pathlib.Path
        The HDF5 file to write.
    length : int
        The positions of a sequence.
    window : int, optional
        The positions around the middle in which motifs are looked for; by default 400, or all of fewer.
    max_seqlets : int
        The largest number of seqlets of each sign.
    """

    sequences: Path
    attributions: Path
    out: Path
    length: int
    window: int | None = None
    max_seqlets: int = 20_000

    def __post_init__(self) -> None:
        require_count(self.max_seqlets, "max_seqlets", least=1)
        if self.window is not None and not 2 <= require_count(self.window, "window", least=2) <= self.length:
            raise InputError(f"window is {self.window}, and sequences have {self.length} positions: give fewer.")

    @property
    def width(self) -> int:
        """The positions in which motifs are looked for: an even number, for the program rounds odd ones down."""
        return (self.window or min(WINDOW, self.length)) // 2 * 2

    @property
    def first(self) -> int:
        """The position of a sequence at which they begin."""
        return self.length // 2 - self.width // 2

    def command(self, program: str = PROGRAM, out: Path | None = None) -> list[str]:
        """Return the command that does it."""
        files = {"-s": self.sequences, "-a": self.attributions, "-o": out or self.out}
        named = [part for option, path in files.items() for part in (option, os.fspath(path))]
        return [program, "motifs", *named, "-n", str(self.max_seqlets), "-w", str(self.width)]

    def __str__(self) -> str:
        return spell(self.command())

    def is_done(self, of: str) -> bool:
        """Return whether the file is there, from this run on these results, or made by hand."""
        done = self._record.read_text(encoding="utf-8") if self._record.exists() else None
        return self.out.exists() and done in (None, self._description(of))

    def require_window(self) -> None:
        """Raise InputError if the file is of another window, so that its positions count from elsewhere."""
        found = read_window(self.out)
        # The program takes all of sequences that are far shorter than its window.
        takes_all = found is not None and found // 2 - self.length // 2 >= self.length
        if found is None or found // 2 * 2 == self.width or (takes_all and self.width == self.length // 2 * 2):
            return
        give = f"give --window {found}, or " if found <= self.length else ""
        raise InputError(
            f"{self.out} was made with `-w {found}`, and {self.width} positions are asked for: {give}delete it to run "
            "TF-MoDISco again."
        )

    def run(self, of: str) -> bool:
        """Run the program, if it is installed, and return whether it is.

        Parameters
        ----------
        of : str
            What identifies the results, by which `is_done` knows them again.

        Raises
        ------
        ResultsError
            If it fails.
        """
        program = find_program(PROGRAM)
        if program is None:
            return False
        self.out.parent.mkdir(parents=True, exist_ok=True)
        self._record.unlink(missing_ok=True)
        self.out.unlink(missing_ok=True)
        with atomic_write(self.out) as partial:
            run_program(self.command(program, partial), self.out.with_suffix(".log"))
        with atomic_write(self._record) as partial:
            partial.write_text(self._description(of), encoding="utf-8")
        return True

    @property
    def _record(self) -> Path:
        return self.out.with_suffix(".json")

    def _description(self, of: str) -> str:
        fields = {"results": of, "attributions": self.attributions.name}
        return json.dumps({**fields, "window": self.width, "max_seqlets": self.max_seqlets}, indent=2) + "\n"
