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


def test_without_a_strand_all_are_forward():
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
        ([("chr1", 1, 2)], {}, "loci is a list"),
        (Loci(["a"], [1, 2], [3, 4], ["+"]), {}, "four of one length"),
    ],
)
def test_bad_loci(source, options, message):
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
