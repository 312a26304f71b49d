import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import seqlight as sl
from seqlight.datasets.windows import Excluded, Windows, centre_windows, inside, on_chromosomes, require_centres

SIZES = {"chr1": 100, "chr2": 50}


def table(rows, columns=("chrom", "start", "end")):
    return pd.DataFrame(rows, columns=list(columns))


spans = st.lists(
    st.tuples(st.sampled_from(["chr1", "chr2"]), st.integers(0, 40), st.integers(1, 12)).map(
        lambda one: (one[0], one[1], one[1] + one[2])
    ),
    max_size=12,
)


@given(excluded=spans, windows=spans)
def test_windows_that_share_a_position_with_what_is_excluded(excluded, windows):
    positions = {(chrom, at) for chrom, start, end in excluded for at in range(start, end)}
    expected = [any((chrom, at) in positions for at in range(start, end)) for chrom, start, end in windows]
    frame = table(windows).astype({"start": np.int64, "end": np.int64})
    half = len(excluded) // 2
    sources = [table(part).astype({"start": int, "end": int}) for part in (excluded[:half], excluded[half:])]
    found = Excluded(sources, SIZES)
    hit = found.touch(frame["chrom"].to_numpy(object), frame["start"].to_numpy(), frame["end"].to_numpy())
    assert hit.tolist() == expected


def test_exclusion_lists_of_another_spelling():
    with pytest.raises(sl.InputError, match=r"'1' is not in the genome .* it has 'chr1'"):
        Excluded([table([("1", 1, 5)])], SIZES)
    with pytest.raises(sl.InputError, match="'chrUn' is not in the genome"):
        Excluded([table([("chrUn", 1, 5)])], SIZES)
    # Exclusion lists may name chromosomes that the genome lacks.
    found = Excluded([table([("chrUn", 1, 5), ("chr2", 1, 5)])], SIZES)
    assert found.touch(np.array(["chr2", "chr1"], object), np.array([4, 4]), np.array([9, 9])).tolist() == [True, False]


def test_chromosomes():
    regions = table([("chr1", 1, 5), ("chr2", 1, 5), ("chr9", 1, 5)])
    assert on_chromosomes(regions, ["chr2", "chr1"], SIZES).tolist() == [True, True, False]
    assert on_chromosomes(regions, (), SIZES).tolist() == [False] * 3
    with pytest.raises(sl.InputError, match="'chr9' is not in the genome"):
        on_chromosomes(regions, None, SIZES)
    with pytest.raises(sl.InputError, match="'chr3' is not in the genome"):
        on_chromosomes(regions, ["chr3"], SIZES)
    with pytest.raises(
        sl.InputError, match=r"chroms is the string 'chr1': expected a list of names, such as \['chr1'\]"
    ):
        on_chromosomes(regions, "chr1", SIZES)


@pytest.mark.parametrize("window", [1, 2, 7, 10])
def test_the_middle_of_a_window(window):
    regions = table(
        [("chr1", 10, 20, 12), ("chr1", 10, 21, -1), ("chr1", 0, 1, 0)], ("chrom", "start", "end", "summit")
    )
    for at, middles in (("summit", [12, 15, 0]), ("centre", [15, 15, 0])):
        found = centre_windows(regions, window, at)
        assert (found.start + window // 2).tolist() == middles
        assert found.length == window
    assert centre_windows(regions.drop(columns="summit"), window, "summit").start.tolist() == found.start.tolist()


def test_regions_as_they_are():
    found = centre_windows(table([("chr1", 3, 8), ("chr2", 0, 5)]), None, "summit")
    assert (found.start.tolist(), found.length) == ([3, 0], 5)
    with pytest.raises(sl.InputError, match="5 to 6 positions: expected one length; give `window`"):
        centre_windows(table([("chr1", 3, 8), ("chr2", 0, 6)]), None, "summit")
    assert centre_windows(table([]), None, "summit").length == 0


def test_windows_inside_and_regions_off_their_chromosome():
    windows = Windows(np.array([0, 2, 40, 39]), 10)
    size = np.full(4, 50)
    assert inside(windows, size, 0).tolist() == [True] * 4
    assert inside(windows, size, 1).tolist() == [False, True, False, True]
    regions = table([("chr2", 1, 2)] * 4)
    require_centres(windows, regions, size)
    with pytest.raises(sl.InputError, match=r"region 2, chr2:1-2, is off its chromosome of 45 .* same assembly"):
        require_centres(windows, regions, np.full(4, 45))


def test_only_places_of_excluded_files_are_read(tmp_path):
    (tmp_path / "a.bed").write_text("#chrom\tstart\tend\tstrand\nchr1\t1\t20\tx\tlow\t?\nchr1\t30\t40\n")
    excluded = Excluded([tmp_path / "a.bed"], {"chr1": 100})
    assert excluded.touch(np.array(["chr1"] * 2), np.array([19, 20]), np.array([30, 30])).tolist() == [True, False]
