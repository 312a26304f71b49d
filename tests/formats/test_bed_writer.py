"""BED is read as bedtools' users do: columns by tabs, sequences from the genome by coordinates."""

import numpy as np
import pandas as pd
import pytest

import seqlight as sl
from seqlight.formats.bed_writer import write_bed
from seqlight.seqlets.cuts import cut_seqlets
from seqlight.seqlets.genome_coordinates import to_genome
from toy_genome import other_strand

COLUMNS = ["chrom", "start", "end", "name", "score", "strand", "attribution", "p-value"]


def read(path):
    # By float, for earlier releases of pandas may read another last digit.
    exact = dict.fromkeys(["attribution", "p-value"], lambda text: float(text or "nan"))
    return pd.read_csv(path, sep="\t", header=None, names=COLUMNS, converters=exact)


def test_the_genome_has_at_each_line_what_the_model_read(cut, seqlets, tmp_path):
    pyfaidx = pytest.importorskip("pyfaidx")
    (tmp_path / "genome.fa").write_text("".join(f">{name}\n{text}\n" for name, text in cut.genome.items()))
    write_bed(tmp_path / "seqlets.bed", to_genome(seqlets, cut.loci, cut.sizes))
    lines = read(tmp_path / "seqlets.bed")
    assert len(lines) == len(seqlets)
    read_by_model = sl.characters(cut_seqlets(cut.X, seqlets).one_hot, allow_N=True)
    assert any("N" in text for text in read_by_model)
    with pyfaidx.Fasta(str(tmp_path / "genome.fa"), as_raw=True) as genome:
        for line in lines.itertuples(index=False):
            row = int(line.name.removeprefix("seqlet_"))
            text = genome[line.chrom][line.start : line.end]
            assert (other_strand(text) if line.strand == "-" else text) == read_by_model[row].strip("N")
            assert line.attribution == seqlets["attribution"][row]
            assert line[-1] == seqlets["p-value"][row]


def test_lines_are_sorted_and_scored(cut, seqlets, tmp_path):
    write_bed(tmp_path / "seqlets.bed", to_genome(seqlets, cut.loci, cut.sizes))
    lines = read(tmp_path / "seqlets.bed")
    spots = list(zip(lines["chrom"], lines["start"], strict=True))
    assert spots == sorted(spots)
    assert lines["score"].between(0, 1000).all()
    assert lines["score"].max() == 1000
    assert (lines.loc[lines["score"].idxmax(), "attribution"]) in (
        lines["attribution"].max(),
        lines["attribution"].min(),
    )


def test_motifs_name_lines_and_turn_them(cut, seqlets, tmp_path):
    found = to_genome(seqlets[:4].drop(columns="p-value"), cut.loci, cut.sizes)
    found = found.assign(motif=["MA1 one", "b", "c", "d"], motif_strand=["+", "+", "-", "-"])
    write_bed(tmp_path / "seqlets.bed", found)
    text = (tmp_path / "seqlets.bed").read_text()
    assert all(line.count("\t") == 6 for line in text.splitlines())
    lines = read(tmp_path / "seqlets.bed").set_index("name")
    assert lines["strand"].to_dict() == {"MA1_one": "+", "b": "-", "c": "-", "d": "+"}


def test_nothing_to_write(cut, seqlets, tmp_path):
    write_bed(tmp_path / "seqlets.bed", to_genome(seqlets[:0], cut.loci))
    assert (tmp_path / "seqlets.bed").read_text() == ""


def test_without_coordinates(seqlets, tmp_path):
    with pytest.raises(sl.InputError, match=r"no column 'chrom': add genome coordinates with to_genome"):
        write_bed(tmp_path / "seqlets.bed", seqlets)
    placed = to_genome(seqlets[:2], pd.DataFrame({"chrom": ["a"] * 6, "start": [0] * 6, "end": [40] * 6}))
    with pytest.raises(sl.InputError, match="NaN or infinity in attribution"):
        write_bed(tmp_path / "seqlets.bed", placed.assign(attribution=[1.0, float("nan")]))
    with pytest.raises(sl.InputError, match="seqlets is None"):
        write_bed(tmp_path / "seqlets.bed", None)
    assert not list(tmp_path.iterdir())


@pytest.mark.reliability(
    "loci tables",
    "seqlets on chromosomes that are numbers; starts that are missing, fractions or below 0, written as BED",
    "names are whole numbers; or an error that names the row",
)
def test_places_that_are_numbers_or_none(tmp_path):
    places = {"chrom": [10.0, 2.0], "genome_start": [1, 2], "genome_end": [4, 5], "strand": ["+", "-"]}
    table = pd.DataFrame({**places, "attribution": [1.0, 2.0]}, index=[5, 5])
    sl.write_bed(tmp_path / "a.bed", table)
    lines = [line.split("\t")[:3] for line in (tmp_path / "a.bed").read_text().splitlines()]
    assert lines == [["10", "1", "4"], ["2", "2", "5"]]
    for column, values, said in (
        ("chrom", ["chr1", None], "locus 1, .* has no chromosome"),
        ("genome_start", [1, np.nan], "locus 1 has no start"),
        ("genome_start", [1.5, 2.0], "start of float64: expected whole numbers"),
        ("genome_start", [1, -2], "the seqlet in row 1 begins at -2"),
        ("genome_end", [4, 2], "locus 1, 2:2-2.* is empty"),
        ("strand", ["+", "?"], "locus 1, .* has another strand"),
    ):
        with pytest.raises(sl.InputError, match=said):
            sl.write_bed(tmp_path / "b.bed", table.assign(**{column: values}))


@pytest.mark.reliability(
    "BED files",
    "names with quotes, empty or missing; chromosomes that readers would not accept",
    "written; an error",
)
def test_names_are_read_back(tmp_path):
    table = pd.DataFrame(
        {"chrom": "chr1", "genome_start": [1, 2, 3], "genome_end": 9, "strand": "+", "attribution": 1.0}
    )
    sl.write_bed(tmp_path / "a.bed", table.assign(motif=['MA "x"', " ", None], **{"p-value": [0.5, None, 0.1]}))
    lines = [line.split("\t") for line in (tmp_path / "a.bed").read_text().splitlines()]
    assert [(line[3], line[7]) for line in lines] == [('MA_"x"', "0.5"), (".", "."), (".", "0.1")]
    for chrom in ("#chr1", "track", "browser1", "chr\t1", "a\nb"):
        with pytest.raises(sl.InputError, match="would not be read back"):
            sl.write_bed(tmp_path / "b.bed", table.assign(chrom=chrom))
    with pytest.raises(sl.InputError, match=r"seqlets holds .* in attribution: expected numbers"):
        sl.write_bed(tmp_path / "b.bed", table.assign(attribution="x"))
    assert not (tmp_path / "b.bed").exists()
