import math
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from attribution_tracks import (
    CONVERSIONS,
    INVALID_TRACKS,
    TRACKS_WITHOUT_SEQLETS,
    any_track,
    assert_any_container_gives_the_same,
    assert_threads_do_not_matter,
    merge_without_overlaps,
    planted_track,
    rows_of,
    without_loops,
)
from seqlight.errors import InputError
from seqlight.native.library import library
from seqlight.seqlets.genome_coordinates import to_genome
from seqlight.seqlets.recursive import null_distribution, span_calls
from seqlight.seqlets.recursive.caller import recursive_seqlets
from seqlight.seqlets.recursive.null_distribution import null_distributions

COLUMNS = ["example_idx", "start", "end", "attribution", "p-value"]
DTYPES = ["int64", "int64", "int64", "float64", "float64"]
needs_loops = pytest.mark.skipif(library() is None, reason="the loops are not compiled")


def oracle(X, threshold, min_seqlet_len, max_seqlet_len, n_bins):
    """Return positive seqlets by their definition, slowly: rows of COLUMNS, in the order of the table."""
    low, high = X.min(), X.max()
    shortest, longest = min_seqlet_len, min(max_seqlet_len, X.shape[1])
    if low == high or shortest > longest:
        return []
    width = float(high - low) / (n_bins - 1)
    bins = [[min(max(math.floor(float(x - low) / width), 0), n_bins - 1) for x in row] for row in X]
    tails = oracle_tails([sum(row.count(b) for row in bins) / X.size for b in range(n_bins)], longest)
    calls = []
    for i, row in enumerate(bins):
        spans = [(n, s) for n in range(shortest, longest + 1) for s in range(X.shape[1] - n + 1)]
        p = {(n, s): tails[n][sum(row[s : s + n])] for n, s in spans}

        def good(n, s, p=p):
            return all(p[m, t] < threshold for m in range(shortest, n + 1) for t in range(s, s + n - m + 1))

        def rank(n, s, p=p):
            return max(p[m, s] for m in range(shortest, n + 1)), s

        taken = set()
        for n in range(longest, shortest - 1, -1):
            for s in sorted((s for m, s in spans if m == n and good(n, s)), key=lambda s, n=n: rank(n, s)):
                if taken.isdisjoint(range(s, s + n)):
                    taken.update(range(s, s + n))
                    total = 0.0
                    for x in X[i, s : s + n]:
                        total += float(x)
                    calls.append((i, s, s + n, total, p[n, s]))
    return sorted(calls, key=lambda call: (call[4], call[0], call[1]))


def oracle_tails(frequency, longest):
    """Return tails[n][s] = P(sum of n bins >= s), in floats or fractions, summed from the top."""
    mass, tails = frequency, [None]
    for n in range(1, longest + 1):
        if n > 1:
            wider = [0 * frequency[0]] * (len(mass) + len(frequency) - 1)
            for b in range(len(frequency) - 1, -1, -1):
                for s, m in enumerate(mass):
                    wider[s + b] += frequency[b] * m
            mass = wider
        tail, total = [], 0
        for m in reversed(mass):
            total = total + m
            tail.append(total)
        tails.append(tail[::-1])
    return tails


planted = partial(planted_track, n_high=3)
# Few distinct values make ties, which is where orders of search show.
tracks = partial(any_track, st.integers(1, 24), [st.integers(-3, 3), st.floats(-4, 4, width=32)])
numpy_seqlets = without_loops(recursive_seqlets, null_distribution, span_calls)


options = st.fixed_dictionaries(
    {
        "threshold": st.sampled_from([1.0, 0.7, 0.3, 0.1, 0.01]),
        "min_seqlet_len": st.integers(1, 5),
        "max_seqlet_len": st.integers(1, 9),
        "n_bins": st.sampled_from([2, 3, 10, 40]),
    }
)


@settings(max_examples=150, deadline=None)
@given(tracks(), options)
def test_equals_the_definition(X, chosen):
    expected = oracle(X, **chosen)
    assert rows_of(recursive_seqlets(X, sign="positive", **chosen)) == expected
    assert rows_of(numpy_seqlets(X, sign="positive", **chosen)) == expected


@settings(max_examples=60, deadline=None)
@given(tracks(), options)
def test_negative_seqlets_are_the_positive_ones_of_the_negated_track(X, chosen):
    mirrored = recursive_seqlets(-X, sign="positive", **chosen)
    mirrored["attribution"] = 0.0 - mirrored["attribution"]
    negative = recursive_seqlets(X, sign="negative", **chosen)
    # Except for those whose sum is not below 0.
    assert_frame_equal(negative, mirrored[mirrored["attribution"] < 0].reset_index(drop=True), check_exact=True)
    positive = recursive_seqlets(X, sign="positive", **chosen)
    both = recursive_seqlets(X, **chosen)
    assert rows_of(both) == merge_without_overlaps([positive[positive["attribution"] > 0], negative])
    assert_frame_equal(numpy_seqlets(X, **chosen), both, check_exact=True)


@pytest.mark.reliability(
    "seqlets", "both signs of any track", "no two overlap, each has the sign of its side, the less significant give way"
)
@settings(max_examples=60, deadline=None)
@given(tracks(), options, st.sampled_from(["both", "positive", "negative"]))
def test_spans_never_overlap_and_keep_to_the_limits(X, chosen, sign):
    table = recursive_seqlets(X, sign=sign, **chosen)
    length = table["end"] - table["start"]
    assert length.between(chosen["min_seqlet_len"], chosen["max_seqlet_len"]).all()
    assert (table["p-value"] < chosen["threshold"]).all()
    positions = [(i, at) for i, s, e in rows_of(table[COLUMNS[:3]]) for at in range(s, e)]
    assert len(positions) == len(set(positions))
    assert all(0 <= at < X.shape[1] and 0 <= i < len(X) for i, at in positions)
    if sign != "positive":
        assert (table["attribution"] != 0).all()
        assert sign == "both" or (table["attribution"] < 0).all()


@needs_loops
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"threshold": 0.1, "min_seqlet_len": 1, "n_bins": 17},
        {"threshold": 1.0, "max_seqlet_len": 6},
        {"X_control": planted((12, 150), seed=9), "target_fdr": 5.0},
        {"X_control": 2 * planted((12, 150), seed=9), "target_fdr": 50.0},
    ],
)
def test_loops_and_numpy_give_the_same_bits(dtype, chosen):
    X = planted((8, 200), dtype=dtype)
    table = recursive_seqlets(X, **chosen)
    assert len(table) > 10
    if "X_control" not in chosen:
        assert_frame_equal(numpy_seqlets(X, **chosen), table, check_exact=True)
        return
    found, by_numpy = (call(X, **chosen, return_fdr=True) for call in (recursive_seqlets, numpy_seqlets))
    assert_frame_equal(by_numpy.seqlets, table, check_exact=True)
    assert_frame_equal(found.seqlets, table, check_exact=True)
    assert_frame_equal(by_numpy.fdr, found.fdr, check_exact=True)


def test_tails_keep_their_digits_far_below_rounding():
    X = np.r_[np.zeros(9990), np.ones(10)][None]
    null = null_distributions(X, (1,), n_bins=2, longest=20)[0]
    exact = oracle_tails([Fraction(9990, 10000), Fraction(10, 10000)], 20)
    smallest = float(exact[20][20])
    assert smallest == pytest.approx(1e-60, rel=1e-12)
    for span in (1, 2, 7, 20):
        np.testing.assert_allclose(null.tail(span), [float(p) for p in exact[span]], rtol=1e-13, atol=0)


def test_planted_blocks_are_found_up_to_both_ends():
    X = np.random.RandomState(3).normal(size=(2, 400))
    X[0, :9] += 8
    X[1, 391:] -= 8
    X[0, 9], X[1, 390] = -3, 3
    table = recursive_seqlets(X, threshold=1e-5)
    assert sorted(rows_of(table[COLUMNS[:3]])) == [(0, 0, 9), (1, 391, 400)]
    assert table.set_index("example_idx")["attribution"].to_dict() == pytest.approx(
        {0: X[0, :9].sum(), 1: X[1, 391:].sum()}
    )


def test_table_equals_that_of_the_tutorial():
    table = recursive_seqlets(torch.from_numpy(planted((1, 2000))))
    assert list(table.columns) == COLUMNS
    assert [str(kind) for kind in table.dtypes] == DTYPES
    assert isinstance(table.index, pd.RangeIndex)
    assert (table["attribution"] < 0).any()
    assert (table["attribution"] > 0).any()


def test_order_is_by_p_value_then_example_then_start():
    X = np.zeros((4, 60))
    X[[3, 1, 1, 2], [5, 40, 10, 0]] = 1
    X[:, 30] = 2
    table = recursive_seqlets(X, threshold=0.1, min_seqlet_len=1, max_seqlet_len=1, sign="positive")
    found = [(1, 10), (1, 40), (2, 0), (3, 5)]
    assert rows_of(table[["example_idx", "start"]]) == [(0, 30), (1, 30), (2, 30), (3, 30), *found]


def test_flanks_only_move_the_ends():
    X = planted((6, 120))
    plain, flanked = recursive_seqlets(X), recursive_seqlets(X, additional_flanks=7)
    assert (plain["start"] < 7).any() or (plain["end"] > 113).any()
    expected = plain.assign(start=(plain["start"] - 7).clip(lower=0), end=(plain["end"] + 7).clip(upper=120))
    assert_frame_equal(flanked, expected, check_exact=True)


@pytest.mark.parametrize("convert", CONVERSIONS)
def test_any_container_and_real_type(convert):
    assert_any_container_gives_the_same(recursive_seqlets, planted().round(), convert)


def test_loci_only_add_coordinates():
    X = planted((4, 120))
    loci = pd.DataFrame({"chrom": list("abba"), "start": [5, 900, 300, 0], "strand": list("+-+-")})
    loci["end"] = loci["start"] + 120
    plain, placed = recursive_seqlets(X), recursive_seqlets(X, loci=loci)
    assert len(plain) > 5
    assert_frame_equal(placed, to_genome(plain, loci), check_exact=True)
    assert list(placed.columns) == [*COLUMNS, "chrom", "genome_start", "genome_end", "strand"]
    empty = recursive_seqlets(0 * X, loci=loci)
    assert list(empty.columns) == list(placed.columns)
    assert empty["genome_start"].dtype == "int64"
    for at, row in placed.iterrows():
        start, end, strand = loci.loc[row["example_idx"], ["start", "end", "strand"]]
        first = end - plain["end"][at] if strand == "-" else start + plain["start"][at]
        assert (row["genome_start"], row["strand"]) == (first, strand)


@pytest.mark.gpu
def test_on_a_gpu(accelerator):
    X = torch.from_numpy(planted())
    assert_frame_equal(recursive_seqlets(X.to(accelerator)), recursive_seqlets(X), check_exact=True)


def test_neither_scale_nor_threads_nor_row_order_matter():
    X = planted((23, 200))
    table = recursive_seqlets(X)
    scaled = recursive_seqlets(X * 1024)
    assert_frame_equal(scaled.assign(attribution=scaled["attribution"] / 1024), table, check_exact=True)
    flipped = recursive_seqlets(X[::-1])
    flipped["example_idx"] = 22 - flipped["example_idx"]
    assert set(rows_of(flipped)) == set(rows_of(table))
    assert_threads_do_not_matter(recursive_seqlets, X)


def test_many_blocks_of_rows(monkeypatch):
    X = planted()
    table = recursive_seqlets(X)
    monkeypatch.setattr("seqlight.seqlets.recursive.span_calls.VALUES_A_BLOCK", 700)
    assert_frame_equal(recursive_seqlets(X), table, check_exact=True)


MEMORY = """
import sys, numpy as np
from pathlib import Path
from seqlight.seqlets.recursive.caller import recursive_seqlets

def megabytes(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024

X = np.random.RandomState(0).standard_normal((int(sys.argv[1]), 1000)).astype(sys.argv[2])
recursive_seqlets(X[:9], 1e-4)
Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
before = megabytes("VmRSS")
n = len(recursive_seqlets(X, 1e-4))
print(megabytes("VmHWM") - before, n)
"""


@needs_loops
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak is read as Linux tells it")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_memory_is_that_of_a_few_blocks_of_rows(dtype, python):
    done = python("-c", MEMORY, 20000, dtype)
    peak, n = map(float, done.stdout.split())
    assert n > 0
    # The input has 76 MB, or twice as many.
    assert peak < 10 * span_calls.VALUES_A_BLOCK * np.dtype(dtype).itemsize / 2**20


@pytest.mark.parametrize(
    ("X", "chosen"),
    [
        *((X, {}) for X in TRACKS_WITHOUT_SEQLETS),
        (planted((4, 30))[:, :3], {}),
        (planted(), {"min_seqlet_len": 6, "max_seqlet_len": 5}),
        (np.array([[0.0, 5e-324] * 10]), {}),
    ],
)
def test_nothing_to_call_gives_an_empty_table_of_the_same_types(X, chosen):
    table = recursive_seqlets(X, **chosen)
    assert table.shape == (0, 5)
    assert list(table.columns) == COLUMNS
    assert [str(kind) for kind in table.dtypes] == DTYPES


@pytest.mark.reliability(
    "seqlets", "a track that lies above or below 0 as a whole", "seqlets of that sign and no others"
)
@pytest.mark.parametrize(("shift", "sign", "other"), [(20.0, "positive", "negative"), (-20.0, "negative", "positive")])
def test_one_signed_tracks_are_no_special_case(shift, sign, other):
    X = planted(dtype="float64")
    centred, shifted = (recursive_seqlets(track, sign=sign) for track in (X, X + shift))
    assert len(shifted) > 20
    # The null moves with the track; only values on the edge of a bin can change bins.
    assert abs(len(shifted) - len(centred)) <= 2
    assert_frame_equal(recursive_seqlets(X + shift), shifted, check_exact=True)
    # In a track above 0 even the lowest spans are above 0; in one below 0, tangermeme calls the highest spans.
    assert len(recursive_seqlets(X + shift, sign=other)) == (
        0 if other == "negative" else len(recursive_seqlets(X, sign=other))
    )


@pytest.mark.parametrize(("X", "message"), INVALID_TRACKS)
def test_invalid_tracks(X, message):
    with pytest.raises(InputError, match=message):
        recursive_seqlets(X)


@pytest.mark.parametrize(
    ("X", "chosen", "message"),
    [
        (np.array([[-3e38, 3e38] * 10], dtype=np.float32), {}, "divide them"),
        (planted(), {"threshold": 0.0}, "`threshold` is 0.0"),
        (planted(), {"threshold": 1.1}, "`threshold` is 1.1"),
        (planted(), {"threshold": math.nan}, "`threshold` is nan"),
        (planted(), {"threshold": "0.01"}, "`threshold` is '0.01'"),
        (planted(), {"threshold": np.array([0.1, 0.2])}, "`threshold` is array"),
        (planted(), {"min_seqlet_len": 0}, "min_seqlet_len is 0"),
        (planted(), {"min_seqlet_len": True}, "min_seqlet_len is True"),
        (planted(), {"max_seqlet_len": 0}, "max_seqlet_len is 0"),
        (planted(), {"max_seqlet_len": 7.5}, "max_seqlet_len is 7.5"),
        (planted(), {"additional_flanks": -1}, "additional_flanks is -1"),
        (planted(), {"n_bins": 1}, "n_bins is 1: expected 2 or more"),
        (planted(), {"sign": "neg"}, "`sign` is 'neg'"),
        (planted(), {"sign": planted()}, "`sign` is of type ndarray"),
        (planted(), {"return_fdr": True}, "`return_fdr` came without `X_control`"),
        (planted(), {"target_fdr": 0.05}, "`target_fdr` came without `X_control`"),
        (planted(), {"X_control": planted(), "target_fdr": "0.1"}, "`target_fdr` is '0.1'"),
        (planted(), {"loci": pd.DataFrame({"chrom": ["chr1"], "start": [0], "end": [300]})}, "1 loci for 20"),
        (planted()[:1], {"loci": pd.DataFrame({"chrom": ["chr1"], "start": [0], "end": [200]})}, "not have 300"),
        (planted(), {"X_control": planted(), "target_fdr": 0}, "`target_fdr` is 0"),
        (planted(), {"X_control": planted()[:0]}, r"`X_control` has shape \(0, 300\)"),
        (planted(), {"X_control": planted() * np.nan}, "`X_control` holds NaN"),
    ],
)
def test_invalid_arguments(X, chosen, message):
    with pytest.raises(InputError, match=message):
        recursive_seqlets(X, **chosen)
