import gzip
import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import seqlight as sl
from bed_files import PEAK, write_lines
from seqlight.datasets.regions import as_regions
from seqlight.formats.bed_reader import read_bed


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_headers_blank_lines_and_line_ends(tmp_path, newline, last):
    lines = [
        "# made by hand",
        "browser position chr7:1-2",
        "track name=pairedReads useScore=1",
        "chr1\t10\t20\ta\t960\t+",
        "track",
        "",
        "#chrom\tstart",
        "chr22\t0\t7\tb c\t0.5\t-",
        "   ",
        "chrX\t5\t6\t\t.\t.",
    ]
    found = read_bed(write_lines(tmp_path / "a.bed", newline.join(lines) + newline * last))
    assert found.columns.tolist() == ["chrom", "start", "end", "name", "score", "strand"]
    assert found["chrom"].tolist() == ["chr1", "chr22", "chrX"]
    assert found["start"].tolist() == [10, 0, 5]
    assert found["end"].tolist() == [20, 7, 6]
    assert found["name"].tolist() == ["a", "b c", ""]
    assert found["score"].tolist()[:2] == [960, 0.5]
    assert math.isnan(found["score"][2])
    assert found["strand"].tolist() == ["+", "-", "."]
    assert found["start"].dtype == found["end"].dtype == np.int64


def test_gzip_and_white_space_and_a_heading(tmp_path):
    text = "chrom start end\nchr1 10 20\nchr2   5  9\n"
    plain = read_bed(write_lines(tmp_path / "a.bed", text))
    (tmp_path / "a.bed.gz").write_bytes(gzip.compress(text.encode()))
    assert plain.values.tolist() == [["chr1", 10, 20], ["chr2", 5, 9]]
    pd.testing.assert_frame_equal(read_bed(tmp_path / "a.bed.gz"), plain)


def test_narrow_peaks_have_summits_on_the_chromosome(tmp_path):
    path = write_lines(tmp_path / "a.bed", PEAK.format(100, 200, 30) + PEAK.format(500, 600, -1))
    found = read_bed(path)
    assert found["summit"].tolist() == [130, -1]
    assert found["signal"].tolist() == [5.5, 5.5]
    assert found["q"].tolist() == [-1, -1]
    assert "summit" not in read_bed(path, format="bed")
    assert found.columns.tolist()[:6] == ["chrom", "start", "end", "name", "score", "strand"]


@pytest.mark.parametrize(
    "line",
    [
        "chr1\t10\t20\tn\t0\t+\t10\t20\t0,0,0\t1\n",  # nine columns of BED, and another
        "chr1\t10\t20\tn\t0\t+\t10\t20\t0\t55\n",  # the tenth column would be a summit outside
        "chr1\t10\t20\tn\t0\t+\t10\t20\t0\t2\t5,5\t0,5\n",  # BED12
    ],
)
def test_ten_columns_that_are_no_peak(tmp_path, line):
    path = write_lines(tmp_path / "a.bed", line)
    assert read_bed(path).columns.tolist() == ["chrom", "start", "end", "name", "score", "strand"]


@pytest.mark.reliability("BED files", "one line with fewer columns among lines with strands", "an error with the line")
def test_no_column_is_lost_by_one_short_line(tmp_path):
    for short, n in (("chr1\t4\t5", 3), ("chr1\t4\t5\tb\t0", 5)):
        path = write_lines(tmp_path / "a.bed", f"# two\nchr1\t1\t2\ta\t3\t-\n{short}\n")
        said = rf"line 3 has {n} columns, and others have strand in column 6: .* format='bed{n}'"
        with pytest.raises(sl.InputError, match=said):
            read_bed(path)
        assert len(read_bed(path, f"bed{n}").columns) == n
    # Columns behind the sixth are not read.
    more = read_bed(write_lines(tmp_path / "b.bed", "chr1\t1\t2\ta\t3\t-\tx\nchr1\t4\t5\tb\t3\t+\n"))
    assert more["strand"].tolist() == ["-", "+"]


@pytest.mark.reliability(
    "narrowPeak files", "columns behind the tenth, as IDR and bedtools intersect write", "read with their summits"
)
def test_narrow_peaks_with_more_columns(tmp_path):
    for more in ("\t0.5\t0.4\t10\t20\t3\t5\t10\t20\t3\t5\n", "\tchr1\t10\t20\t3\n", "\tx\n"):
        text = PEAK.format(10, 20, 5).replace("\n", more)
        assert read_bed(write_lines(tmp_path / "a.bed", text * 2))["summit"].tolist() == [15, 15]


@pytest.mark.parametrize("text", ["", "# nothing\n", "track x\n\n"])
def test_files_without_a_region(tmp_path, text):
    found = read_bed(write_lines(tmp_path / "a.bed", text))
    assert found.columns.tolist() == ["chrom", "start", "end"]
    assert len(found) == 0
    assert found["start"].dtype == np.int64
    assert as_regions(found).columns.tolist() == ["chrom", "start", "end", "strand"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("chr1\t10", r"line 3 has 2 fields, 'chr1\\t10': expected at least chrom, start and end"),
        ("chr1\tten\t20", "line 3: start is 'ten': expected a whole number"),
        ("chr1\t1e3\t2000", "line 3: start is '1e3': expected a whole number"),
        ("chr1\t1_0\t2000", "line 3: start is '1_0': expected a whole number"),
        ("chr1\t10\t", "line 3: end is ''"),
        ("chr1\t-5\t20", "line 3: chr1:-5-20 begins below 0"),
        ("chr1\t20\t20", "line 3: chr1:20-20 is empty: expected start < end"),
        ("chr1\t30\t20", "line 3: chr1:30-20 is empty"),
        ("\t10\t20", "line 3: :10-20 has no chromosome"),
        ("chr1\t10\t20\ta\t5\tplus", "line 3: chr1:10-20 has another strand"),
        ("chr1\t10\t20\ta\thigh\t+", "line 3: score is 'high': expected a number"),
        ("chr1\t99999999999999999999\t5", "line 3: start is '99999999999999999999'"),
    ],
)
def test_the_line_that_is_wrong_is_named(tmp_path, line, message):
    first = "chr1\t1\t2\ta\t1\t+"
    with pytest.raises(sl.InputError, match=message):
        read_bed(write_lines(tmp_path / "a.bed", f"# comment\n{first}\n{line}\n{first}\n"))


def test_invalid_files(tmp_path):
    with pytest.raises(sl.InputError, match="there is no file"):
        read_bed(tmp_path / "a.bed")
    (tmp_path / "b.bed").write_bytes(b"\xff\xfe\x00chr1")
    with pytest.raises(sl.InputError, match="is no text"):
        read_bed(tmp_path / "b.bed")
    with pytest.raises(sl.InputError, match="line 1 has 3 columns: expected the 10 of narrowPeak"):
        read_bed(write_lines(tmp_path / "c.bed", "chr1\t1\t2\n"), format="narrowPeak")
    with pytest.raises(sl.InputError, match="line 1: chr1:10-20 has its summit outside"):
        read_bed(write_lines(tmp_path / "d.bed", PEAK.format(10, 20, 10)), format="narrowPeak")
    with pytest.raises(sl.InputError, match="format is 'gff'"):
        read_bed(tmp_path / "c.bed", format="gff")


@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["chr1", "2", "chrUn_1"]),
            st.integers(0, 2**40),
            st.integers(1, 10**6),
            st.text("abc _.", max_size=5),
            st.floats(allow_nan=False, allow_infinity=False, width=32),
            st.sampled_from("+-."),
        ),
        min_size=1,
    )
)
def test_what_is_written_is_read(tmp_path_factory, rows):
    table = pd.DataFrame(
        [(chrom, start, start + width, *rest) for chrom, start, width, *rest in rows],
        columns=["chrom", "start", "end", "name", "score", "strand"],
    )
    path = tmp_path_factory.mktemp("bed") / "a.bed"
    table.to_csv(path, sep="\t", header=False, index=False, quoting=3)
    assert read_bed(path).to_dict("list") == table.to_dict("list")


def test_our_own_bed_is_read(tmp_path):
    seqlets = pd.DataFrame({"example_idx": [0, 0], "start": [2, 20], "end": [9, 30], "attribution": [-0.5, 0.25]})
    table = sl.to_genome(seqlets, pd.DataFrame({"chrom": ["chr1"], "start": [100], "end": [150], "strand": ["-"]}))
    sl.write_bed(tmp_path / "a.bed", table)
    found = read_bed(tmp_path / "a.bed")
    assert sorted(zip(found["start"], found["end"], strict=True)) == sorted(
        zip(table["genome_start"], table["genome_end"], strict=True)
    )
    assert found["strand"].tolist() == ["-", "-"]


@pytest.mark.reliability(
    "narrowPeak files",
    "one line whose summit lies outside of its region, or that is cut off, among good lines; a file named so",
    "an error that names the line, and no summit is lost",
)
@pytest.mark.parametrize("name", ["a.narrowPeak", "a.NARROWPEAK", "a.narrowPeak.gz", "a.bed", "a.narrowPeak.bgz"])
@pytest.mark.parametrize(
    ("line", "said"),
    [
        (PEAK.format(10, 20, 10), "chr1:10-20 has its summit outside: expected its distance from the start, or -1"),
        (PEAK.format(10, 20, 15), "chr1:10-20 has its summit outside"),  # on the chromosome
        (PEAK.format(10, 20, -2), "chr1:10-20 has its summit outside"),
        (PEAK.format(10, 20, "5.0"), "summit is '5.0': expected a whole number"),
        (PEAK.format(10, 20, "."), "summit is '.': expected a whole number"),
        ("chr1\t10\t20\tp\t100\t.\t5.5\t3.0\t-1\n", "has 9 columns: expected the 10 of narrowPeak"),
        ("chr1\t10\t20\tp\t100\t.\tx\t3.0\t-1\t5\n", "signal is 'x': expected a number"),
    ],
)
def test_a_line_that_does_not_fit_is_an_error(tmp_path, name, line, said):
    text = "# peaks\n" + PEAK.format(100, 200, 30) + line + PEAK.format(500, 600, -1)
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if "gz" in name else text.encode())
    with pytest.raises(sl.InputError, match=rf"{name}, line 3:? {re.escape(said)}"):
        read_bed(path)
    if "columns" not in said:
        assert read_bed(path, "bed")["start"].tolist() == [100, 10, 500]
    with pytest.raises(sl.InputError, match="line 3"):
        read_bed(path, "narrowPeak")


@pytest.mark.reliability(
    "narrowPeak files",
    "peaks.narrowPeak.bed and such names, whose summits lie outside",
    "an error, unless it has fewer than ten columns",
)
@pytest.mark.parametrize(
    "name", ["a.narrowPeak.bed", "a_peaks.NarrowPeak.txt", "a.narrowPeak.sorted", "a.narrowPeak.bed.gz"]
)
def test_narrow_peaks_that_were_renamed(tmp_path, name):
    path = tmp_path / name
    path.write_text(PEAK.format(10, 20, 15) * 2)
    with pytest.raises(sl.InputError, match="line 1: chr1:10-20 has its summit outside"):
        read_bed(path)
    for fewer in ("chr1\t10\t20\n", "chr1\t10\t20\tp\t100\t.\t10\t20\t0\t1\t10\t0\n"):
        path.write_text(fewer * 2)
        assert read_bed(path)["start"].tolist() == [10, 10]


def test_the_name_decides_before_the_lines(tmp_path):
    text = PEAK.format(10, 20, 15)
    assert "summit" not in read_bed(write_lines(tmp_path / "a.bed", text))
    with pytest.raises(sl.InputError, match="line 1: chr1:10-20 has its summit outside"):
        read_bed(write_lines(tmp_path / "a.narrowPeak", text))
    with pytest.raises(sl.InputError, match="line 1 has 3 columns: expected the 10 of narrowPeak"):
        read_bed(write_lines(tmp_path / "b.narrowPeak", "chr1\t1\t2\n"))
    assert read_bed(write_lines(tmp_path / "c.narrowPeak", "# no peak\n")).columns.tolist() == [
        "chrom",
        "start",
        "end",
    ]
    # ENCODE's narrowPeaks may lack signals; those of IDR have ten more columns.
    unknown = PEAK.format(10, 20, 5).replace("5.5", ".")
    assert read_bed(write_lines(tmp_path / "d.bed", unknown))["summit"].tolist() == [15]
    longer = PEAK.format(10, 20, 5).replace("\n", "\t1\t2\n")
    assert read_bed(write_lines(tmp_path / "e.narrowPeak", longer))["summit"].tolist() == [15]


@pytest.mark.reliability(
    "narrowPeak files",
    "broadPeak, gappedPeak, BED12, bedGraph, summits.bed",
    "regions without a summit, in their right places",
)
@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("a.broadPeak", "chr1\t10\t20\tp\t100\t.\t5.5\t3.0\t-1\n"),
        ("a.gappedPeak", "chr1\t10\t20\tp\t100\t.\t10\t20\t0\t1\t10\t0\t5.5\t3.0\t-1\n"),
        ("a.bed", "chr1\t10\t20\tp\t100\t.\t10\t20\t0\t1\t10\t0\n"),
        ("a.bedGraph", "chr1\t10\t20\t0.5\n"),
        ("counts.bed", "chr1\t10\t20\tp\t100\t.\t3\t0\t7\t5\t2\t0\n"),
        ("a_summits.bed", "chr1\t10\t20\tp\t7.5\n"),
    ],
)
def test_relatives_of_narrow_peaks(tmp_path, name, line):
    found = read_bed(write_lines(tmp_path / name, line * 2))
    assert found["start"].tolist() == [10, 10]
    assert "summit" not in found


@pytest.mark.reliability(
    "BED files",
    "tables of MACS (.xls), a heading whose strand or summit is elsewhere, CSV, GTF, SAM",
    "an error that says so",
)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "# MACS\nchr\tstart\tend\tlength\tabs_summit\tpileup\nchr1\t1\t20\t20\t9\t5\n",
            "line 2 is the heading of .*MACS",
        ),
        ("chrom\tstart\tend\tstrand\nchr1\t1\t20\t-\n", "line 1 heads column 4 with 'strand'"),
        ("#chrom\tstart\tend\tstrand\nchr1\t1\t20\t-\n", "line 1 heads column 4 with 'strand'"),
        (
            "# chrom start end summit\nchr1 1 20 9\n",
            "line 1 heads column 4 with 'summit', where BED has another: give a pandas.DataFrame with",
        ),
        ("chrom start end summit\nchr1 1 20 9\n", "line 1 heads column 4 with 'summit'"),
        ("chrom,start,end\nchr1,1,20\n", "line 1 has 1 fields"),
        ("chr1\tHAVANA\tgene\t1\t9\n", "line 1: start is 'HAVANA'"),
        ("chr1\t1.0\t20.0\n", "line 1: start is '1.0': expected a whole number"),
        ("@SQ\tSN:chr1\tLN:100\n", "line 1: start is 'SN:chr1'"),
    ],
)
def test_tables_of_another_kind(tmp_path, text, said):
    with pytest.raises(sl.InputError, match=said):
        read_bed(write_lines(tmp_path / "a.bed", text))


def test_prose_is_no_heading(tmp_path):
    for line in ("# the start strand", "# chrom start end, strand summit"):
        assert len(read_bed(write_lines(tmp_path / "a.bed", f"{line}\nchr1\t1\t20\n"))) == 1


def test_a_heading_does_not_matter_where_its_columns_are_not_read(tmp_path):
    path = write_lines(tmp_path / "a.bed", "#chrom\tstart\tend\tstrand\nchr1\t1\t20\t-\n")
    assert read_bed(path, "bed3").to_numpy().tolist() == [["chr1", 1, 20]]


def test_formats_of_fewer_columns(tmp_path):
    path = write_lines(tmp_path / "a.bed", "chr1\t1\t20\tHigh Signal\tlow\tx\nchr1 \t3\t20\tb\tlow\tx\n")
    for format, columns in (("bed3", ["chrom", "start", "end"]), ("bed4", ["chrom", "start", "end", "name"])):
        assert read_bed(path, format).columns.tolist() == columns
    assert read_bed(path, "bed3")["chrom"].tolist() == ["chr1", "chr1"]
    with pytest.raises(
        sl.InputError, match="score is 'low': expected a number; leave out what is no score by format='bed4'"
    ):
        read_bed(path)
    with pytest.raises(sl.InputError, match="line 1 has 3 columns: expected the 6 of bed6"):
        read_bed(write_lines(tmp_path / "b.bed", "chr1\t1\t20\n"), "bed6")
    with pytest.raises(sl.InputError, match=r"another strand than .* leave out what is no strand by format='bed5'"):
        read_bed(write_lines(tmp_path / "b.bed", "chr1\t1\t20\ta\t5\tx\n"))


@pytest.mark.reliability(
    "BED files", "a byte-order mark, also where files were joined; CRLF; a carriage return alone", "read as without"
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_byte_order_marks(tmp_path, pack, newline):
    part = newline.join(["\ufeffchr1\t10\t20", "chr2\t5\t9", ""])
    (tmp_path / "a.bed").write_bytes(pack((part + part).encode()))
    assert read_bed(tmp_path / "a.bed")["chrom"].tolist() == ["chr1", "chr2"] * 2
    for first in ("#chrom\tstart\tend", "chrom\tstart\tend", "track name=a", "browser x"):
        (tmp_path / "b.bed").write_bytes(pack(newline.join(["\ufeff" + first, part]).encode()))
        assert read_bed(tmp_path / "b.bed")["start"].tolist() == [10, 5]


def test_utf_16_and_invalid_paths(tmp_path):
    (tmp_path / "a.bed").write_bytes("chr1\t10\t20\n".encode("utf-16"))
    with pytest.raises(sl.InputError, match=r"a\.bed is no text in UTF-8 but in UTF-16: expected a BED"):
        read_bed(tmp_path / "a.bed")
    for source, said in ((None, "path is None"), (3, "path is an int"), (["a.bed"], "path is a list")):
        with pytest.raises(sl.InputError, match=said):
            read_bed(source)
    with pytest.raises(sl.InputError, match="is a folder: expected a BED"):
        read_bed(tmp_path)
    for format in (None, 3, ["bed"]):
        with pytest.raises(sl.InputError, match=r"format is .*: expected auto, bed"):
            read_bed(tmp_path / "a.bed", format)


@pytest.mark.reliability(
    "narrowPeak files",
    "tabs at the ends of lines; a track line with the type narrowPeak",
    "summits are read, or the line is named",
)
def test_ends_of_lines_and_track_lines(tmp_path):
    peak = PEAK.format(100, 200, 30)
    for end in ("\t\n", "\t\t\n", " \n", "\t\r\n"):
        assert read_bed(write_lines(tmp_path / "a.bed", peak.replace("\n", end)))["summit"].tolist() == [130]
    for track in ("track type=narrowPeak", 'track name="a b" type="narrowPeak" visibility=3'):
        path = write_lines(tmp_path / "a.bed", f"# x\n{track}\n{PEAK.format(100, 200, 130)}")
        with pytest.raises(sl.InputError, match="line 3: chr1:100-200 has its summit outside"):
            read_bed(path)
    assert "summit" not in read_bed(write_lines(tmp_path / "a.bed", f"track type=bed\n{PEAK.format(100, 200, 130)}"))
