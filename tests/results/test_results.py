"""Columns too: the oracle is the array that was cut into shards."""

from __future__ import annotations

import pickle
import re
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import seqlight as sl
from results_folders import attribution_arrays, loci_of, write_results
from seqlight.results.loci import write_loci
from seqlight.results.manifest import Manifest, write_manifest
from seqlight.results.results import Results
from seqlight.results.shards import shard_path, write_shard

ROWS, SIZE = 23, 5


def arrays(rows=ROWS):
    rng = np.random.default_rng(0)
    return {
        "attributions": rng.normal(size=(rows, 4, 7)).astype(np.float32),
        "outputs": rng.normal(size=rows),
        "codes": rng.integers(0, 5, (rows, 3)).astype(np.int8),
    }


def write(folder, arrays, rows=ROWS, size=SIZE):
    manifest = Manifest(rows, size, {"name": "test"}, {}, "data")
    for k in range(manifest.shards):
        of = manifest.rows_of(k)
        write_shard(shard_path(folder, k), {name: one[of.start : of.stop] for name, one in arrays.items()})
    write_manifest(folder, manifest)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("results")
    write(out, arrays())
    return out


INDEX = st.one_of(
    st.integers(-ROWS, ROWS - 1),
    st.slices(ROWS),
    st.lists(st.integers(-ROWS, ROWS - 1), max_size=10),
    st.lists(st.booleans(), min_size=ROWS, max_size=ROWS).map(np.array),
    st.lists(st.integers(-ROWS, ROWS - 1), min_size=4, max_size=4).map(lambda rows: np.array(rows).reshape(2, 2)),
    st.just(Ellipsis),
)


@given(INDEX, st.sampled_from([(), (2,), (slice(1, 3),), (slice(None), [0, 2]), (..., 1)]))
def test_it_is_indexed_like_an_array(folder, rows, rest):
    if rows is Ellipsis and any(one is Ellipsis for one in rest):
        rest = ()
    results, all_of_it = sl.open_results(folder), arrays()
    oracle = np.array(rows, dtype=int) if isinstance(rows, list) else rows
    for name, more in (("attributions", rest), ("outputs", ())):
        found, expected = results[name][(rows, *more) if more else rows], all_of_it[name][oracle]
        if more:
            # Rows first: NumPy would pair two lists of indices.
            expected = expected[(*[slice(None)] * np.arange(ROWS)[oracle].ndim, *more)]
            expected = all_of_it[name][(..., *more)] if rows is Ellipsis else expected
        np.testing.assert_array_equal(found, expected)
        assert np.asarray(found).dtype == expected.dtype


def test_shapes_and_whole_arrays(folder):
    results, all_of_it = sl.open_results(folder), arrays()
    assert len(results) == ROWS
    assert results.names == tuple(results) == ("attributions", "outputs", "codes")
    assert "outputs" in results
    assert "no" not in results
    for name, one in all_of_it.items():
        column = results[name]
        assert (column.shape, column.dtype, column.ndim, len(column), column.nbytes) == (
            one.shape, one.dtype, one.ndim, ROWS, one.nbytes,
        )  # fmt: skip
        np.testing.assert_array_equal(np.asarray(column), one)
        np.testing.assert_array_equal(np.stack(list(column)), one)
        np.testing.assert_array_equal(np.concatenate(list(column.blocks())), one)
        assert np.asarray(column, dtype=np.float16).dtype == np.float16
    assert "attributions: (23, 4, 7) float32" in repr(results)
    assert repr(results["codes"]) == "Column 'codes': (23, 3) int8"
    results.verify()


def test_results_are_copies(folder):
    row = sl.open_results(folder)["attributions"][3]
    row[:] = 0
    assert sl.open_results(folder)["attributions"][3].any()
    for one in sl.open_results(folder)["attributions"]:
        one[:] = 0


def test_it_can_be_sent_to_workers(folder):
    results = pickle.loads(pickle.dumps(sl.open_results(folder)))
    np.testing.assert_array_equal(results["codes"][7], arrays()["codes"][7])


def test_rows_that_are_not_there(folder):
    column = sl.open_results(folder)["codes"]
    for row in (ROWS, -ROWS - 1, [0, ROWS]):
        with pytest.raises(IndexError, match="23 rows"):
            column[row]
    for rows in (0.5, None, True, [0.5]):
        with pytest.raises(sl.InputError, match="rows are given as"):
            column[rows] if rows is not None else column[{}]
    with pytest.raises(sl.InputError, match="mask has shape"):
        column[np.array([True])]
    with pytest.raises(
        sl.InputError, match=r"no 'predictions' in .*: expected one of 'attributions', 'outputs', 'codes'"
    ):
        sl.open_results(folder)["predictions"]


def test_missing_rows_are_counted_and_the_rest_can_be_read(tmp_path):
    write(tmp_path, arrays())
    shard_path(tmp_path, 0).unlink()
    shard_path(tmp_path, 4).unlink()
    with pytest.raises(sl.ResultsError, match=r"8 of 23 rows are missing in .*: start the same run .* again"):
        sl.open_results(tmp_path)
    results = sl.open_results(tmp_path, incomplete=True)
    np.testing.assert_array_equal(results["codes"][5:20], arrays()["codes"][5:20])
    with pytest.raises(sl.ResultsError, match="rows 0 to 4 are missing"):
        results["codes"][2]
    with pytest.raises(sl.ResultsError, match="rows 0 to 4 are missing"):
        results.verify()


def test_damage_is_reported_by_name(tmp_path):
    write(tmp_path, arrays())
    content = bytearray(shard_path(tmp_path, 1).read_bytes())
    content[400] ^= 1
    shard_path(tmp_path, 1).write_bytes(content)
    with pytest.raises(sl.ResultsError, match=r"shard-000001\.npz is damaged"):
        sl.open_results(tmp_path).verify()
    write_shard(shard_path(tmp_path, 2), {"outputs": np.zeros(5), "attributions": np.zeros((4, 4, 7), np.float32)})
    results = sl.open_results(tmp_path)
    with pytest.raises(sl.ResultsError, match=r"shard 2 has 'attributions' of shape \(4, 4, 7\)"):
        results["attributions"][11]
    with pytest.raises(sl.ResultsError, match=r"shard 2 of .* has no 'codes'"):
        results["codes"][11]


def test_a_folder_without_results(tmp_path):
    with pytest.raises(sl.InputError, match="holds no results"):
        sl.open_results(tmp_path)


def test_no_rows(tmp_path):
    write(tmp_path, {}, rows=0)
    results = sl.open_results(tmp_path)
    assert len(results) == 0
    assert results.names == ()
    with pytest.raises(sl.InputError, match="none, for the run has no rows"):
        results["outputs"]


def test_rows_by_place(tmp_path):
    write(tmp_path, arrays())
    with pytest.raises(sl.InputError, match=r"have no loci: run on data that have `\.loci`"):
        sl.open_results(tmp_path)["codes"]["chr1:0-10"]
    starts = np.arange(ROWS) * 10
    write_loci(tmp_path, sl.Loci(np.array(["chr1"] * 20 + ["chr2"] * 3), starts, starts + 15, np.array(["+"] * ROWS)))
    results = sl.open_results(tmp_path)
    np.testing.assert_array_equal(results["codes"]["chr1:20-30"], arrays()["codes"][[1, 2]])
    np.testing.assert_array_equal(results["attributions"]["chr2", 1], arrays()["attributions"][20:, 1])
    assert results.rows_at("chr1:15-20").tolist() == [1]
    assert results.loci.chrom[22] == "chr2"


def test_a_notebook_shows_arrays_and_the_first_rows(tmp_path):
    results = write_results(tmp_path / "run", attribution_arrays(11), loci_of(11))
    shown = results._repr_html_()
    assert "<td>attributions</td><td>11 x 4 x 30</td><td>float32</td>" in shown
    assert re.findall(r'aria-label="(row \d, chr1:\d+-\d+)', shown) == [
        f"row {i}, chr1:{100 * i}-{100 * i + 30}" for i in range(3)
    ]
    several = write_results(tmp_path / "several", attribution_arrays(2, targets=3))
    assert several._repr_html_().count("<svg") == 2


def test_a_notebook_reads_one_shard(tmp_path, monkeypatch):
    results = write_results(tmp_path / "run", attribution_arrays(50), shard_rows=2)
    read = []
    monkeypatch.setattr(Results, "_read", lambda self, k, of=Results._read: (read.append(k), of(self, k))[1])
    assert "<svg" in sl.open_results(results.path)._repr_html_()
    assert set(read) == {0}


@pytest.mark.reliability(
    "notebooks", "results whose shards are missing, damaged or gone, shown in a notebook", "shown with what is known"
)
def test_a_notebook_shows_results_that_are_not_whole(tmp_path):
    results = write_results(tmp_path / "run", attribution_arrays(11))
    shard_path(results.path, 0).unlink()
    shown = sl.open_results(results.path, incomplete=True)._repr_html_()
    assert "1 of 3 shards are missing" in shown
    assert "<svg" not in shown
    gone = write_results(tmp_path / "gone", attribution_arrays(11))
    shutil.rmtree(gone.path)
    assert gone._repr_html_().startswith("<pre>")
    empty = write_results(tmp_path / "empty", {"attributions": np.zeros((0, 4, 9), np.float32)})
    assert "Results of 0 rows" in empty._repr_html_()


def test_arrays_that_are_asked_for_in_another_way(folder, tmp_path):
    results = sl.open_results(folder)
    with pytest.raises(AttributeError, match=r"no attribute 'outputs': expected results\['outputs'\]"):
        results.outputs  # noqa: B018
    with pytest.raises(AttributeError, match=r"no attribute 'to_pandas'\.$"):
        results.to_pandas()
    with pytest.raises(sl.InputError, match=r"indexed with slice.*, as in results\['attributions'\]\[:10\]"):
        results[:5]
    with pytest.raises(sl.InputError, match=r"`X` is a Column: .*; read its rows, `X\[:\]`, and sum over letters"):
        sl.recursive_seqlets(results["attributions"])
    gone = Results(tmp_path / "gone", results.manifest)
    assert not hasattr(gone, "outputs")
    assert len(pickle.loads(pickle.dumps(results))) == ROWS
