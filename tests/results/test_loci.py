from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import seqlight as sl
from seqlight.results.loci import read_loci, rows_at, write_loci

WINDOW = st.tuples(st.sampled_from(["chr1", "chr10", "chrX"]), st.integers(-5, 40), st.integers(1, 20))


def loci(windows):
    chrom, start, size = zip(*windows, strict=True)
    start = np.array(start)
    return sl.Loci(np.array(chrom, dtype=object), start, start + np.array(size), np.array(["+"] * len(windows), object))


@given(st.lists(WINDOW, min_size=1, max_size=20), st.integers(0, 40), st.integers(1, 20))
def test_rows_that_share_a_position(windows, start, size):
    chrom = windows[0][0]
    expected = [
        i
        for i, (c, s, n) in enumerate(windows)
        if c == chrom and set(range(s, s + n)) & set(range(start, start + size))
    ]
    assert rows_at(loci(windows), f"{chrom}:{start}-{start + size}").tolist() == expected
    assert rows_at(loci(windows), chrom).tolist() == [i for i, one in enumerate(windows) if one[0] == chrom]


def test_commas_are_ignored():
    assert rows_at(loci([("chr1", 1500, 10)]), " chr1:1,000-2,000 ").tolist() == [0]


@pytest.mark.parametrize("locus", ["", "chr1:", "chr1:5", "chr1:a-b", "chr1:1-2-3"])
def test_invalid_loci(locus):
    with pytest.raises(sl.InputError, match="is not a locus: expected one like 'chr1:1000-2000'"):
        rows_at(loci([("chr1", 0, 10)]), locus)


def test_a_chromosome_without_rows():
    with pytest.raises(sl.InputError, match="no row is on '1': expected a chromosome with rows, such as 'chr1'"):
        rows_at(loci([("chr1", 0, 10)]), "1:3-5")


def test_loci_are_stored(tmp_path):
    assert read_loci(tmp_path) is None
    write_loci(tmp_path, loci([("chr1", -3, 10), ("chr10", 4, 2)]))
    found = read_loci(tmp_path)
    assert found.chrom.tolist() == ["chr1", "chr10"]
    assert found.start.tolist() == [-3, 4]
    assert found.end.tolist() == [7, 6]
    assert found.strand.tolist() == ["+", "+"]


@pytest.mark.reliability(
    "names of FASTA records", "rows of results on a chromosome whose name has colons", "found by chrom:start-end"
)
def test_chromosomes_with_colons():
    loci = sl.Loci(*(np.array(one) for one in (["HLA:A", "HLA:A"], [0, 50], [60, 110], ["+", "-"])))
    assert rows_at(loci, "HLA:A:55-58").tolist() == [0, 1]
    assert rows_at(loci, "HLA:A:60-100").tolist() == [1]
    assert rows_at(loci, "HLA:A").tolist() == [0, 1]
    for no in ("HLA:A:,-5", "HLA:A:5-", "HLA:5-9", " "):
        with pytest.raises(sl.InputError, match=r"not a locus|no row is on"):
            rows_at(loci, no)
