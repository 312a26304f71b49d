from pathlib import Path

from results_folders import loci_of
from seqlight.motifs.finemo_run import FinemoRun
from seqlight.motifs.modisco_run import ModiscoRun

MODISCO = ModiscoRun(Path("s.npz"), Path("a.npz"), Path("modisco.h5"), 101)


def test_its_commands():
    assert str(FinemoRun(MODISCO, Path("out"))) == (
        "finemo extract-regions-modisco-fmt -s s.npz -a a.npz -o out/regions.npz -w 100 && "
        "finemo call-hits -r out/regions.npz -m modisco.h5 -o out"
    )


def test_regions_have_the_middle_of_each_sequence_as_summit(tmp_path):
    loci = loci_of(4, 101)
    loci.start[0], loci.end[0] = -20, 81
    run = FinemoRun(MODISCO, tmp_path / "out", loci._replace(strand=loci_of(8, 101).strand[::2]))
    run.write_peaks()
    lines = [line.split("\t") for line in run.peaks.read_text().splitlines()]
    assert [int(line[1]) + int(line[9]) for line in lines] == [30, 150, 250, 350]
    assert [line[1] for line in lines] == ["0", "100", "200", "300"]
    assert str(run).count(f"-p {run.peaks}") == 1


def test_sequences_of_the_other_strand_have_no_regions(tmp_path):
    run = FinemoRun(MODISCO, tmp_path, loci_of(4, 101))
    assert run.peaks is None
    run.write_peaks()
    assert not list(tmp_path.iterdir())
