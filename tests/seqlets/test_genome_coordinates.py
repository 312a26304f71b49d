import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlight.errors import InputError
from seqlight.seqlets.genome_coordinates import to_genome

SIZES = {"chr1": 40, "chr2": 25}
LENGTH = 12


def table(*rows):
    return pd.DataFrame(rows, columns=["example_idx", "start", "end"]).astype("int64").assign(attribution=1.0)


def loci(*rows):
    return pd.DataFrame(rows, columns=["chrom", "start", "end", "strand"])


@given(st.data())
def test_each_position_has_the_coordinates_it_was_cut_from(data):
    places = []
    for _ in range(data.draw(st.integers(1, 3))):
        chrom = data.draw(st.sampled_from(list(SIZES)))
        start = data.draw(st.integers(-5, SIZES[chrom] - LENGTH + 5))
        places.append((chrom, start, start + LENGTH, data.draw(st.sampled_from(["+", "-", "."]))))
    example = data.draw(st.integers(0, len(places) - 1))
    start = data.draw(st.integers(0, LENGTH - 1))
    end = data.draw(st.integers(start + 1, LENGTH))
    # The genome position of each position of the window, written out.
    chrom, first, last, strand = places[example]
    window = list(range(last - 1, first - 1, -1)) if strand == "-" else list(range(first, last))
    expected = sorted(at for at in window[start:end] if 0 <= at < SIZES[chrom])
    seqlets = table((example, start, end))
    if not expected:
        with pytest.raises(InputError, match=f"row 0 .* off {chrom}"):
            to_genome(seqlets, loci(*places), SIZES)
        return
    (row,) = to_genome(seqlets, loci(*places), SIZES).itertuples()
    assert list(range(row.genome_start, row.genome_end)) == expected
    assert (row.chrom, row.strand) == (chrom, "-" if strand == "-" else "+")


def test_columns_are_added_to_a_copy():
    seqlets = table((1, 2, 5), (0, 0, 4)).set_index(pd.Index([7, 3]))
    before = seqlets.copy()
    found = to_genome(seqlets, loci(("chr1", 0, 12, "+"), ("chr2", 5, 17, "-")))
    pd.testing.assert_frame_equal(seqlets, before)
    pd.testing.assert_frame_equal(found[before.columns.to_list()], before)
    assert found[["genome_start", "genome_end"]].to_numpy().tolist() == [[12, 15], [0, 4]]
    assert found["genome_start"].dtype == found["genome_end"].dtype == np.int64
    empty = to_genome(table(), loci(("chr1", 0, 12, "+")))
    assert empty["genome_start"].dtype == np.int64
    assert len(empty) == 0


def test_without_sizes_only_the_start_of_a_chromosome_cuts_off():
    found = to_genome(table((0, 0, 12)), loci(("chr1", -3, 9, "-")))
    assert found[["genome_start", "genome_end"]].to_numpy().tolist() == [[0, 9]]


@pytest.mark.parametrize(
    ("seqlets", "message"),
    [
        (table((0, 5, 13)), "row 0, 5 to 13, sticks out of its locus of 12"),
        (table((0, 1, 3), (0, -1, 3)), "row 1, -1 to 3"),
        (table((1, 0, 3)), "example_idx outside 0 to 0"),
        (table((0, 4, 4)), "empty"),
    ],
)
def test_seqlets_beyond_their_locus(seqlets, message):
    with pytest.raises(InputError, match=message):
        to_genome(seqlets, loci(("chr1", 0, 12, "+")))
