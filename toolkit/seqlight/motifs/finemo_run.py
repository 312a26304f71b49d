"""Run Fi-NeMo, which finds the places of TF-MoDISco's motifs in all sequences."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from seqlight.files.atomic import atomic_write
from seqlight.motifs.modisco_run import ModiscoRun
from seqlight.motifs.programs import find_program, run_program, spell
from seqlight.sequence.loci import Loci

PROGRAM = "finemo"
INSTALL = "pip install finemo"


@dataclass(frozen=True)
class FinemoRun:
    """How Fi-NeMo is run.

    Attributes
    ----------
    modisco : ModiscoRun
        What was run before.
    out : pathlib.Path
        The folder to write to.
    loci : Loci, optional
        Where the sequences are from. Fi-NeMo knows no strands, so where some are "-", it is not told.
    """

    modisco: ModiscoRun
    out: Path
    loci: Loci | None = None

    @property
    def peaks(self) -> Path | None:
        """The file of regions, which gives hits their places in the genome; None if there is none."""
        if self.loci is None or (self.loci.strand == "-").any():
            return None
        return self.out / "regions.narrowPeak"

    def commands(self, program: str = PROGRAM) -> list[list[str]]:
        """Return the two commands that do it."""
        regions = os.fspath(self.out / "regions.npz")
        peaks = [] if self.peaks is None else ["-p", os.fspath(self.peaks)]
        inputs = ["-s", os.fspath(self.modisco.sequences), "-a", os.fspath(self.modisco.attributions)]
        extract = [
            "extract-regions-modisco-fmt",
            *inputs,
            "-o",
            regions,
            "-w",
            str(self.modisco.length // 2 * 2),
            *peaks,
        ]
        call = ["call-hits", "-r", regions, "-m", os.fspath(self.modisco.out), "-o", os.fspath(self.out)]
        return [[program, *extract], [program, *call]]

    def __str__(self) -> str:
        return " && ".join(map(spell, self.commands()))

    def run(self) -> bool:
        """Run the program, if it is installed, and return whether it is; ResultsError if it fails."""
        program = find_program(PROGRAM)
        if program is None:
            return False
        for name, command in zip(("regions", "hits"), self.commands(program), strict=True):
            run_program(command, self.out / f"{name}.log")
        return True

    def write_peaks(self) -> None:
        """Make the folder, and write the regions, with the middles of sequences as summits."""
        self.out.mkdir(parents=True, exist_ok=True)
        if self.peaks is None or self.loci is None:
            return
        middle = self.modisco.length // 2
        with atomic_write(self.peaks) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
            for i, (chrom, start, end) in enumerate(zip(*self.loci[:3], strict=True)):
                # A window may begin before its chromosome, and a summit is counted from the start.
                first = max(start, 0)
                summit = start + middle - first
                file.write(f"{chrom}\t{first}\t{end}\trow_{i}\t0\t.\t0\t-1\t-1\t{summit}\n")
