import numpy as np
import pandas as pd
import pytest

from seqlight.errors import InputError
from seqlight.sequence.loci import Loci, as_loci, as_sizes


def table(**columns):
    return pd.DataFrame({"chrom": ["chr1", "chr2"], "start": [10, -5], "end": [20, 5], **columns})


def test_a_table_and_loci_are_the_same():
    loci = as_loci(table(strand=["-", "."]), n=2, length=10)
    assert loci.start.dtype == loci.end.dtype == np.int64
    assert [one.tolist() for one in loci] == [["chr1", "chr2"], [10, -5], [20, 5], ["-", "."]]
    again = as_loci(loci)
    assert [one.tolist() for one in again] == [one.tolist() for one in loci]
    assert as_loci(Loci(["a"], [1], [2], ["+"])).chrom.tolist() == ["a"]


def test_the_default_strand_is_forward():
    assert as_loci(table()).strand.tolist() == ["+", "+"]
    assert as_loci(table().iloc[:0]).strand.tolist() == []


@pytest.mark.parametrize("kind", ["object", "str", "category"])
def test_any_type_of_text(kind):
    frame = table(strand=["+", "-"]).astype({"chrom": kind, "strand": kind})
    assert as_loci(frame).chrom.tolist() == ["chr1", "chr2"]


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        (table().drop(columns="end"), {}, "no column 'end'"),
        (table(start=[10.0, 5.0]), {}, "start of float64"),
        (table(end=[20, -5]), {}, r"locus 1, chr2:-5--5\(\+\), is empty"),
        (table(strand=["+", "x"]), {}, r"locus 1, .* another strand"),
        (table(chrom=["chr1", None]), {}, "locus 1, .* no chromosome"),
        (table(), {"n": 3}, "2 loci for 3 sequences"),
        (table(), {"length": 12}, "locus 0, .* does not have 12 positions"),
        ([("chr1", 1, 2)], {}, r"loci is a list: expected a table with chrom, start and end, or Loci\."),
        ("peaks.bed", {}, r"loci is a str: .*; read a file with seqlight\.read_bed\."),
        (Loci(["a"], [1, 2], [3, 4], ["+"]), {}, "four of one length"),
        (Loci("a", 1, 2, "+"), {}, "four of one length"),
        (Loci([["a"]], [[1]], [[2]], [["+"]]), {}, "four of one length"),
    ],
)
def test_invalid_loci(source, options, message):
    with pytest.raises(InputError, match=message):
        as_loci(source, **options)


def test_sizes():
    loci = as_loci(table())
    assert as_sizes({"chr2": 7, "chr1": 9}, loci).tolist() == [9, 7]
    with pytest.raises(InputError, match="no 'chr2'"):
        as_sizes({"chr1": 9, "2": 7}, loci)
    with pytest.raises(InputError, match="chrom_sizes is a list"):
        as_sizes([("chr1", 9)], loci)
    with pytest.raises(InputError, match="the size of 'chr2' is '7'"):
        as_sizes({"chr1": 9, "chr2": "7"}, loci)


@pytest.mark.reliability(
    "loci tables",
    "chromosomes that are numbers, as pd.read_csv reads 1, 2, 3: int64, float64, nullable, categorical, Arrow, bytes",
    "they are the names '1', '2', '3'",
)
@pytest.mark.parametrize(
    "kind",
    ["int64", "int8", "uint16", "float64", "float32", "Int64", "Float64", "object", "category", "int64[pyarrow]"],
)
def test_chromosomes_that_are_numbers(kind):
    if "pyarrow" in kind:
        pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"chrom": [2, 11], "start": [10, 0], "end": [20, 5]}).astype({"chrom": kind})
    loci = as_loci(frame)
    assert loci.chrom.tolist() == ["2", "11"]
    assert all(type(one) is str for one in loci.chrom)
    assert as_loci(Loci(frame["chrom"].to_numpy(), [10, 0], [20, 5], ["+", "-"])).chrom.tolist() == ["2", "11"]


def test_chromosomes_of_two_kinds(tmp_path):
    (tmp_path / "a.tsv").write_text("chrom\tstart\tend\n1\t0\t5\nX\t5\t9\n")
    assert as_loci(pd.read_csv(tmp_path / "a.tsv", sep="\t")).chrom.tolist() == ["1", "X"]
    assert as_loci(table(chrom=[1, np.str_("X")])).chrom.tolist() == ["1", "X"]
    assert as_loci(table(chrom=[b"chr1", np.bytes_(b"2")])).chrom.tolist() == ["chr1", "2"]
    for kind in ("string", "string[pyarrow]", "category"):
        assert as_loci(table().astype({"chrom": kind})).chrom.tolist() == ["chr1", "chr2"]
    for bad in (np.nan, pd.NA, None, "", 1.5, True, -1, ["chr1"]):
        with pytest.raises(InputError, match=r"locus 1, .* has no chromosome"):
            as_loci(table(chrom=pd.Series(["chr1", bad], dtype=object)))


@pytest.mark.reliability(
    "loci tables",
    "coordinates that are nullable, Arrow or objects, with and without one that is missing",
    "read, or an error that names the row",
)
@pytest.mark.parametrize("kind", ["int32", "uint64", "Int64", "object", "int64[pyarrow]"])
def test_kinds_of_coordinates(kind):
    if "pyarrow" in kind:
        pytest.importorskip("pyarrow")
    frame = table(start=[10, 0]).astype({"start": kind})
    found = as_loci(frame).start
    assert (found.dtype, found.tolist()) == (np.int64, [10, 0])
    if not kind.endswith(("int32", "uint64")):
        frame["start"] = pd.Series([10, None], dtype=kind)
        with pytest.raises(InputError, match=r"locus 1 has no start, .*: leave it out"):
            as_loci(frame)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ([10, np.nan], "locus 1 has no start, nan: leave it out"),
        ([pd.NaT, 5], "locus 0 has no start"),
        (["10", "5"], "loci has a start of"),
        ([10, "5"], "loci has a start of"),
        ([True, False], "loci has a start of bool"),
        (pd.Series([10, True], dtype=object), "loci has a start of"),
        (np.array([10, 2**63], dtype=np.uint64), "a start beyond 281474976710656"),
        ([10, -(2**63)], "a start beyond 281474976710656"),
        ([10, 2**70], "a start beyond 281474976710656"),
    ],
)
def test_invalid_coordinates(start, message):
    with pytest.raises(InputError, match=message):
        as_loci(table(start=start))


def test_missing_strands():
    for bad in (None, np.nan, pd.NA, 1, "plus"):
        with pytest.raises(InputError, match=r"locus 1, .* has another strand than"):
            as_loci(table(strand=pd.Series(["+", bad], dtype=object)))
    assert as_loci(table(strand=pd.Series(["+", "-"], dtype="string"))).strand.tolist() == ["+", "-"]


@pytest.mark.reliability(
    "loci tables",
    "chr1 where a genome, a bigWig file or sizes have 1, Chr1 or chr01",
    "an error that says which name is there",
)
def test_sizes_of_chromosomes_spelled_another_way():
    loci = as_loci(table())
    assert as_sizes({2: 7, np.int64(1): 9}, as_loci(table(chrom=[1, 2]))).tolist() == [9, 7]
    for known, likely in ((["1", "2"], "'1'"), (["Chr1", "Chr2"], "'Chr1'"), ([1, 2], "'1'")):
        with pytest.raises(InputError, match=rf"no 'chr1'.* it has {likely}, so spell both alike"):
            as_sizes(dict.fromkeys(known, 9), loci)
    with pytest.raises(InputError, match="the name '1', which is invalid or occurs twice"):
        as_sizes({1: 9, "1": 9}, loci)


@pytest.mark.reliability("loci tables", "a column Strand, which is not called strand", "an error, not the other strand")
def test_a_strand_column_spelled_another_way():
    table = pd.DataFrame({"chrom": ["chr1"], "start": [1], "end": [9], "Strand": ["-"]})
    with pytest.raises(InputError, match="loci has a column 'Strand', which is not read: call it 'strand'"):
        as_loci(table)
    assert as_loci(table.assign(strand="-")).strand.tolist() == ["-"]


def test_many_loci_are_printed_in_a_line():
    n = 5000
    loci = Loci(np.full(n, "chr1"), np.arange(n), np.arange(n) + 10, np.full(n, "."))
    assert repr(loci) == "Loci of 5000 sequences: chr1:0-10(.), chr1:1-11(.), chr1:2-12(.), ..."
    assert repr(Loci(["a"], [1], [2], ["+"])) == "Loci of 1 sequence: a:1-2(+)"
    assert repr(Loci(*(field[3] for field in loci))) == "Loci of 1 sequence: chr1:3-13(.)"
    assert repr(Loci(*(field[:0] for field in loci))) == "Loci of 0 sequences"
