from __future__ import annotations

import os
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import seqlight as sl
from seqlight.results import run_folder
from seqlight.results.file_lock import Lock
from seqlight.results.loci import read_loci
from seqlight.results.manifest import Manifest, read_manifest
from seqlight.results.run_folder import claim_folder, lock_path, prepare_folder
from seqlight.results.shards import shard_path, shards_in, write_shard

RUN = Manifest(10, 4, {"name": "predict", "random_state": 0}, {"weights": "ab"}, "data")


def fill(folder, shard, rows=None):
    write_shard(shard_path(folder, shard), {"y": np.zeros(len(RUN.rows_of(shard)) if rows is None else rows)})


def test_what_is_still_to_do(tmp_path):
    assert prepare_folder(tmp_path, RUN, None, None) == (RUN, [0, 1, 2])
    assert read_manifest(tmp_path) == RUN
    fill(tmp_path, 1)
    (tmp_path / "shard-000002.npz.123.partial").write_text("half")
    assert prepare_folder(tmp_path, RUN, None, None) == (RUN, [0, 2])
    assert not list(tmp_path.glob("*.partial"))


def test_what_is_known_of_the_data_by_now_labels_an_earlier_start(tmp_path):
    prepare_folder(tmp_path, RUN, None, None)
    fill(tmp_path, 1)
    named = replace(RUN, alphabet="ACGT", chrom_sizes={"chr1": 90})
    assert prepare_folder(tmp_path, named, None, None) == (named, [0, 2])
    assert prepare_folder(tmp_path, RUN, None, None) == (named, [0, 2])
    assert read_manifest(tmp_path) == named


def test_the_earlier_size_of_shards_holds_unless_asked(tmp_path):
    prepare_folder(tmp_path, RUN, None, None)
    other = replace(RUN, shard_rows=2)
    assert prepare_folder(tmp_path, other, None, None)[0] == RUN
    with pytest.raises(sl.ResultsError, match=r"shard_rows \(2 here, 4 there\)"):
        prepare_folder(tmp_path, other, 2, None)


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (replace(RUN, data="other"), r"data \('other' here, 'data' there\)"),
        (replace(RUN, model={"weights": "ff"}), "model weights"),
        (replace(RUN, method={"name": "predict", "random_state": 1}), r"method random_state \(1 here, 0 there\)"),
        (replace(RUN, rows=11), "rows"),
    ],
)
def test_another_run_is_refused_by_name(tmp_path, other, named):
    prepare_folder(tmp_path, RUN, None, None)
    fill(tmp_path, 0)
    with pytest.raises(sl.ResultsError, match=f"holds another run: it differs in {named}.*Give another `out`"):
        prepare_folder(tmp_path, other, None, None)
    assert read_manifest(tmp_path) == RUN


def test_of_many_differences_the_first_are_named(tmp_path):
    prepare_folder(tmp_path, RUN, None, None)
    fill(tmp_path, 0)
    other = replace(RUN, model={f"attributes {i}": "ff" for i in range(40)})
    many = len(other.differences(RUN)) - 8
    with pytest.raises(sl.ResultsError, match=rf"attributes 6 .*; and in {many} more\. Give another") as caught:
        prepare_folder(tmp_path, other, None, None)
    assert "attributes 9" not in str(caught.value)


@pytest.mark.reliability(
    "runs begun again", "a folder that was begun by an older seqlight", "refused, and its rows can be read"
)
def test_fingerprints_of_another_kind_are_not_compared(tmp_path):
    prepare_folder(tmp_path, RUN, None, None)
    fill(tmp_path, 0)
    newer = replace(RUN, model={**RUN.model, "fingerprint": 2})
    with pytest.raises(sl.ResultsError, match=r"an older seqlight, which .* read its rows with open_results"):
        prepare_folder(tmp_path, newer, None, None)
    assert sl.open_results(tmp_path, incomplete=True)["y"][:4].tolist() == [0] * 4


def test_code_of_another_python_is_mentioned(tmp_path):
    before = replace(RUN, versions={**RUN.versions, "python": "3.2.1"})
    prepare_folder(tmp_path, before, None, None)
    fill(tmp_path, 0)
    with pytest.raises(sl.ResultsError, match=r"It was begun with Python 3\.2, whose compiled code Python 3"):
        prepare_folder(tmp_path, replace(RUN, model={"code": {"Net": "ff"}}), None, None)


def test_a_run_that_made_nothing_leaves_the_folder_to_another(tmp_path):
    loci = sl.Loci(*(np.array([one] * 10) for one in ("chr1", 0, 5, "+")))
    prepare_folder(tmp_path, RUN, None, loci)
    other = replace(RUN, method={"name": "deep_lift_shap"}, shard_rows=2)
    assert prepare_folder(tmp_path, other, None, None) == (other, [0, 1, 2, 3, 4])
    assert read_manifest(tmp_path) == other
    assert read_loci(tmp_path) is None


def test_shards_without_a_manifest_are_refused(tmp_path):
    fill(tmp_path, 0)
    with pytest.raises(sl.ResultsError, match=r"holds shards but no manifest\.json"):
        prepare_folder(tmp_path, RUN, None, None)


def test_another_version_is_warned_of(tmp_path, monkeypatch):
    prepare_folder(tmp_path, RUN, None, None)
    monkeypatch.setattr(run_folder, "versions", lambda: {**RUN.versions, "torch": "99.0"})
    with pytest.warns(sl.SeqlightWarning, match=f"begun with torch {RUN.versions['torch'].split('+')[0]}.*last digits"):
        prepare_folder(tmp_path, RUN, None, None)


def test_shards_that_are_not_whole_are_made_again(tmp_path):
    prepare_folder(tmp_path, RUN, None, None)
    fill(tmp_path, 0)
    fill(tmp_path, 1, rows=3)
    shard_path(tmp_path, 2).write_bytes(shard_path(tmp_path, 0).read_bytes()[:-5])
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert prepare_folder(tmp_path, RUN, None, None)[1] == [1, 2]
    assert [str(one.message).split(" ")[0] for one in told] == ["shard-000002.npz"]


def test_loci_are_kept(tmp_path):
    loci = sl.Loci(np.array(["chr1"] * 10), np.arange(10), np.arange(10) + 5, np.array(["+"] * 10))
    prepare_folder(tmp_path, RUN, None, loci)
    assert read_loci(tmp_path).end.tolist() == list(range(5, 15))


def test_one_run_at_a_time(tmp_path):
    lock = claim_folder(tmp_path / "new" / "folder")
    with pytest.raises(sl.ResultsError, match="is in use by this process"):
        claim_folder(tmp_path / "new" / "folder")
    lock.release()
    left = Lock(lock_path(tmp_path / "new" / "folder", 3))
    left.take()
    with pytest.raises(sl.ResultsError, match=r"process .* of an earlier run still works in"):
        claim_folder(tmp_path / "new" / "folder")
    left.release()
    claim_folder(tmp_path / "new" / "folder").release()


@pytest.mark.reliability(
    "results folders",
    "a user's own files and folders that end in .partial, and what an interrupted consolidate left",
    "they stay, and the run goes on",
)
def test_partial_files_of_others_stay(tmp_path):
    prepare_folder(tmp_path, RUN, None, None)
    gone = 2**22 + 1  # more than any process has
    kept = ["notes.partial", f"all.h5.{gone}.partial", "shard-000001.npz.partial", f"shard-1.npz.{gone}.partial",
            f"my-shard-000001.npz.{gone}.partial", f"shard-000000.npz.{os.getppid()}.partial"]  # fmt: skip
    ours = [f"shard-000001.npz.{gone}.partial", f"manifest.json.{gone}.partial", f"loci.npz.{os.getpid()}.partial"]
    for name in [*kept, *ours]:
        (tmp_path / name).write_text("half")
    folders_of_others = [tmp_path / f"all.zarr.{gone}.partial", tmp_path / f"shard-000002.npz.{gone}.partial"]
    for folder in folders_of_others:
        (folder / "inner").mkdir(parents=True)
    (tmp_path / f"shard-000003.npz.{gone}.partial").symlink_to(tmp_path / "notes.partial")
    assert prepare_folder(tmp_path, RUN, None, None)[1] == [0, 1, 2]
    assert all((tmp_path / name).read_text() == "half" for name in kept)
    assert not any((tmp_path / name).exists() for name in ours)
    assert all((folder / "inner").is_dir() for folder in folders_of_others)


@pytest.mark.reliability(
    "results folders", "more shards than six digits can number", "an error before anything is written"
)
def test_too_many_shards_are_refused(tmp_path):
    with pytest.raises(sl.InputError, match=r"shard_rows is 1, which makes 2000000 files .* so at least 2"):
        prepare_folder(tmp_path, replace(RUN, rows=2_000_000, shard_rows=1), 1, None)
    assert not list(tmp_path.iterdir())


@pytest.mark.reliability("results folders", "a read-only folder", "an error that says so and what to do")
def test_a_folder_that_takes_nothing(tmp_path, monkeypatch):
    def read_only(*args, **settings):
        raise OSError(30, "Read-only file system", "somewhere")

    monkeypatch.setattr(Path, "mkdir", read_only)
    with pytest.raises(
        sl.ResultsError, match=r"could not be written to .* \(Read-only file system\): make sure that you"
    ):
        claim_folder(tmp_path)
    monkeypatch.undo()
    claim_folder(tmp_path).release()


@pytest.mark.reliability("results folders", "a shard that is a broken link", "its rows are made again")
def test_a_shard_that_a_link_no_longer_leads_to_is_made_again(tmp_path):
    prepare_folder(tmp_path, RUN, None, None)
    for shard in range(3):
        fill(tmp_path, shard)
    shard_path(tmp_path, 0).rename(tmp_path / "elsewhere.npz")
    shard_path(tmp_path, 0).symlink_to("elsewhere.npz")  # which is there
    shard_path(tmp_path, 1).unlink()
    shard_path(tmp_path, 1).symlink_to("nowhere.npz")
    shard_path(tmp_path, 2).unlink()
    shard_path(tmp_path, 2).symlink_to(shard_path(tmp_path, 2).name)
    assert shards_in(tmp_path) == {0}
    fill(tmp_path, 1)
    assert shards_in(tmp_path) == {0, 1}
    assert not shard_path(tmp_path, 1).is_symlink()


@pytest.mark.reliability(
    "files of results",
    "a folder that has a loci.npz or row_names.npz of the user's own is given as `out`",
    "refused, with the file; it stays as it is",
)
@pytest.mark.parametrize("name", ["loci.npz", "row_names.npz"])
def test_files_of_the_user_are_not_replaced(tmp_path, name):
    np.savez(tmp_path / name, X=np.ones(3))
    before = (tmp_path / name).read_bytes()
    with pytest.raises(sl.ResultsError, match=f"holds a {name} that is not of a run of seqlight"):
        prepare_folder(tmp_path, RUN, None, None)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == before


def test_a_damaged_file_of_the_run_itself_is_made_again(tmp_path):
    loci = sl.Loci(np.array(["chr1"] * 10), np.arange(10), np.arange(10) + 5, np.array(["+"] * 10))
    prepare_folder(tmp_path, RUN, None, loci)
    (tmp_path / "loci.npz").write_bytes(b"half")
    prepare_folder(tmp_path, RUN, None, loci)
    assert read_loci(tmp_path).end.tolist() == list(range(5, 15))
