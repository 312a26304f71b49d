from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import seqlight as sl
from seqlight.results import consolidation
from seqlight.results.loci import write_loci
from seqlight.results.manifest import Manifest, write_manifest
from seqlight.results.row_names import write_row_names
from seqlight.results.shards import shard_path, write_shard

ROWS = 11


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    X = sl.random_one_hot((ROWS, 4, 30), random_state=0).numpy()
    return {
        "sequences": X,
        "hypothetical": rng.normal(size=X.shape).astype(np.float32),
        "outputs": rng.normal(size=ROWS),
    }


@pytest.fixture
def results(tmp_path, arrays):
    manifest = Manifest(ROWS, 4, {"name": "test"}, {}, "data")
    for k in range(3):
        of = manifest.rows_of(k)
        write_shard(shard_path(tmp_path, k), {name: one[of.start : of.stop] for name, one in arrays.items()})
    write_loci(
        tmp_path, sl.Loci(np.array(["chr1"] * ROWS), np.arange(ROWS), np.arange(ROWS) + 30, np.array(["+"] * ROWS))
    )
    write_manifest(tmp_path, manifest)
    return sl.open_results(tmp_path)


def same(found, arrays, chrom=("chr1",) * ROWS):
    for name, one in arrays.items():
        assert found[name].dtype == one.dtype
        np.testing.assert_array_equal(np.asarray(found[name]), one)
    assert np.asarray(found["loci/chrom"]).astype(np.asarray(chrom).dtype).tolist() == list(chrom)
    assert np.asarray(found["loci/end"]).tolist() == list(range(30, 30 + ROWS))


def test_npz(results, arrays, tmp_path):
    with np.load(sl.consolidate(results, tmp_path / "to" / "all.npz")) as found:
        same(found, arrays)


def test_hdf5(results, arrays, tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(sl.consolidate(results.path, tmp_path / "all.h5")) as found:
        same(found, arrays)
        assert json.loads(found.attrs["manifest"])["rows"] == ROWS


def test_zarr(results, arrays, tmp_path):
    zarr = pytest.importorskip("zarr")
    for _ in range(2):  # the second over the first
        found = zarr.open_group(str(sl.consolidate(results, tmp_path / "all.zarr")), mode="r")
        same(found, arrays, chrom=[0] * ROWS)
        assert found["loci/chrom"].attrs["names"] == ["chr1"]
        assert found.attrs["manifest"]["rows"] == ROWS
    assert not list(tmp_path.glob("*.partial"))


def test_names_of_rows(results, tmp_path):
    h5py, zarr = pytest.importorskip("h5py"), pytest.importorskip("zarr")
    names = [f"peak {i}" for i in range(ROWS)]
    write_row_names(tmp_path, names, results.manifest)
    with np.load(sl.consolidate(tmp_path, tmp_path / "all.npz")) as found:
        assert found["row_names"].tolist() == names
    with h5py.File(sl.consolidate(tmp_path, tmp_path / "all.h5")) as found:
        assert found["row_names"].asstr()[:].tolist() == names
    assert zarr.open_group(str(sl.consolidate(tmp_path, tmp_path / "all.zarr")), mode="r").attrs["row_names"] == names


def test_for_modisco(results, arrays, tmp_path):
    folder = sl.consolidate(results, tmp_path / "modisco")
    expected = tmp_path / "expected"
    sl.write_modisco(expected, torch.from_numpy(arrays["sequences"]), arrays["hypothetical"])
    for name in ("ohe.npz", "shap.npz"):
        np.testing.assert_array_equal(np.load(folder / name)["arr_0"], np.load(expected / name)["arr_0"])


def test_some_arrays(results, tmp_path):
    with np.load(sl.consolidate(results, tmp_path / "some.npz", names=["outputs"])) as found:
        assert set(found) == {"outputs", "loci/chrom", "loci/start", "loci/end", "loci/strand"}
    with pytest.raises(sl.InputError, match="no 'nothing'"):
        sl.consolidate(results, tmp_path / "some.npz", names=["nothing"])


def test_one_array_by_its_name(results, tmp_path):
    with np.load(sl.consolidate(results, tmp_path / "one.npz", names="outputs")) as found:
        np.testing.assert_array_equal(found["outputs"], results["outputs"].numpy())
        assert "attributions" not in found


def test_what_cannot_be_written(results, tmp_path, monkeypatch):
    with pytest.raises(sl.InputError, match=r"ends in '\.csv': expected one of \.npz, \.h5"):
        sl.consolidate(results, tmp_path / "a.csv")
    monkeypatch.setattr(type(results), "names", ("outputs",))
    with pytest.raises(sl.InputError, match=r"no 'sequences' .*hypothetical=True"):
        sl.consolidate(results, tmp_path / "modisco")
    shard_path(results.path, 1).unlink()
    with pytest.raises(sl.ResultsError, match="rows 4 to 7 are missing"):
        sl.consolidate(results, tmp_path / "a.npz")
    with pytest.raises(sl.ResultsError, match="4 of 11 rows are missing"):
        sl.consolidate(results.path, tmp_path / "a.npz")
    assert not (tmp_path / "a.npz").exists()


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".zarr"])
def test_nothing_is_left_after_an_error(results, tmp_path, monkeypatch, suffix):
    pytest.importorskip({".npz": "numpy", ".h5": "h5py", ".zarr": "zarr"}[suffix])

    def fail(results):
        raise OSError("No space left on device")

    monkeypatch.setattr(consolidation, "_loci", fail)
    with pytest.raises(OSError, match="No space"):
        sl.consolidate(results, tmp_path / "to" / f"all{suffix}")
    assert not list((tmp_path / "to").iterdir())


@pytest.mark.reliability(
    "one file of a run's results",
    "a name that is a shard, the results themselves, or a folder or file of another kind",
    "an error, and what is there stays",
)
def test_what_is_there_stays(results, arrays, tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("there")
    mine = tmp_path / "mine.zarr"
    mine.mkdir()
    (mine / "notes").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder.npz").mkdir()
    moved = Path(shutil.copytree(results.path, tmp_path / "run.zarr"))
    results = sl.open_results(moved)
    for to, says in (
        (shard_path(moved, 1), "where the results themselves are"),
        (moved / "loci.npz", "where the results themselves are"),
        (moved, "where the results themselves are"),
        (mine, "a folder that is no zarr store"),
        (tmp_path / "file", "which is a file: expected a folder"),
        (tmp_path / "folder.npz", "which is a folder: expected a file"),
        ("", "to is ''"),
        (3, "to is an int"),
    ):
        with pytest.raises(sl.InputError, match=says):
            sl.consolidate(results, to)
    assert (mine / "notes").read_text() == (tmp_path / "file").read_text() == "mine"
    sl.open_results(moved).verify()
    with np.load(sl.consolidate(results, moved / "all.npz")) as found:
        np.testing.assert_array_equal(found["outputs"], arrays["outputs"])


@pytest.mark.reliability("one file of a run's results", "a disk that is full", "an error that says so; no half a file")
def test_a_full_disk(results, tmp_path, monkeypatch):
    def full(of):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(consolidation, "_loci", full)
    with pytest.raises(sl.ResultsError, match=r"all.npz could not be written \(No space left on device\): make room"):
        sl.consolidate(results, tmp_path / "all.npz")
    assert not list(tmp_path.glob("all*"))
