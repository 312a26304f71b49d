"""A folder of results with a shard that is not what it should be: what reading, `verify` and a resumed run do."""

from __future__ import annotations

import os
import shutil
import warnings
from dataclasses import replace

import numpy as np
import pytest

import seqlight as sl
from seqlight.results.loci import write_loci
from seqlight.results.manifest import FORMAT, Manifest, write_manifest
from seqlight.results.run_folder import prepare_folder
from seqlight.results.shard_check import shard_origin
from seqlight.results.shards import read_shard, shard_path, write_shard

RUN = Manifest(10, 4, {"name": "predict", "random_state": 0}, {"weights": "ab"}, "data", format=FORMAT)
OTHER = replace(RUN, model={"weights": "ff"})


def arrays(rows, run=RUN):
    y = np.arange(rows.start, rows.stop, dtype=np.float32)
    return {"y": y if run is RUN else -y, "z": np.stack([y, y]).T.copy()}


def write(folder, run=RUN, marked=True):
    folder.mkdir(exist_ok=True)
    write_manifest(folder, run if marked else replace(run, format=1))
    for k in range(run.shards):
        write_shard(shard_path(folder, k), arrays(run.rows_of(k), run), shard_origin(run, k) if marked else None)
    return folder


def exchange(folder):
    shard_path(folder, 0).rename(folder / "aside")
    shard_path(folder, 1).rename(shard_path(folder, 0))
    (folder / "aside").rename(shard_path(folder, 1))


def flip(folder):
    content = bytearray(shard_path(folder, 1).read_bytes())
    at = content.index(np.float32(5).tobytes())
    content[at] ^= 1
    shard_path(folder, 1).write_bytes(content)


def of_another_run(folder):
    shutil.copy(shard_path(write(folder.with_name("other"), OTHER), 1), shard_path(folder, 1))


def rewritten(change):
    """Return what writes shard 1 anew, with other arrays and no word of where they belong, as any program can."""

    def tamper(folder):
        np.savez(shard_path(folder, 1), **change(arrays(RUN.rows_of(1))))

    return tamper


def relabelled(folder):
    """As another version of the code would write it."""
    found = {name: one.astype(np.float64) for name, one in arrays(RUN.rows_of(1)).items()}
    write_shard(shard_path(folder, 1), found, shard_origin(RUN, 1))


FAULTS = {
    "two shards exchanged": (exchange, "holds rows 4 to 7, but its name is that of rows 0 to 3"),
    "a shard of another run with equal shapes copied in": (of_another_run, "belongs to another run than manifest.json"),
    "a shard of another dtype": (relabelled, "float64"),
    "a shard with one array more": (rewritten(lambda one: {**one, "more": one["y"]}), "does not say which rows"),
    "a shard without one of its arrays": (rewritten(lambda one: {"y": one["y"]}), "does not say which rows"),
    "a shard with fewer rows": (rewritten(lambda one: {name: a[:2] for name, a in one.items()}), "does not say"),
    "a shard with equal shapes from elsewhere": (rewritten(lambda one: one), "does not say which rows it holds"),
    "an empty shard file": (lambda folder: shard_path(folder, 1).write_bytes(b""), "is damaged"),
    "a shard cut short": (lambda folder: os.truncate(shard_path(folder, 1), 300), "is damaged"),
    "a shard that is compressed": (
        lambda folder: np.savez_compressed(shard_path(folder, 1), **arrays(RUN.rows_of(1))),
        "its arrays are compressed",
    ),
    "a shard of Python objects": (rewritten(lambda one: {"y": np.array([1, "a", None, 2], object)}), "is damaged"),
}  # fmt: skip


def all_rows(folder):
    found = sl.open_results(folder)
    return {name: found[name].numpy() for name in found}


@pytest.mark.reliability(
    "results folders",
    "a shard other than its name says, in many ways",
    "an error that names it when it is read, and when verify() compares",
)
@pytest.mark.parametrize("fault", FAULTS)
def test_reading_reports_it(tmp_path, fault):
    tamper, says = FAULTS[fault]
    tamper(write(tmp_path / "out"))
    with pytest.raises(sl.ResultsError, match=f"shard.*{says}"):
        all_rows(tmp_path / "out")
    with pytest.raises(sl.ResultsError, match=f"shard.*{says}"):
        sl.open_results(tmp_path / "out").verify()


@pytest.mark.reliability(
    "results folders", "the same, and a run that is started again", "the shard is made again, with a warning"
)
@pytest.mark.parametrize("fault", [*FAULTS, "one flipped bit in a shard"])
def test_the_same_run_makes_it_again(tmp_path, fault):
    tamper = flip if fault not in FAULTS else FAULTS[fault][0]
    tamper(write(tmp_path / "out"))
    with pytest.warns(sl.SeqlightWarning, match="shard-00000.*made again|shard-00000.*makes what is missing"):
        manifest, todo = prepare_folder(tmp_path / "out", RUN, None, None)
    assert todo == ([0, 1] if tamper is exchange else [1])
    assert not any(shard_path(tmp_path / "out", k).exists() for k in todo)
    assert manifest == RUN


@pytest.mark.reliability("results folders", "one flipped bit in a shard", "verify() finds it")
def test_a_flipped_bit_is_found_by_verify(tmp_path):
    flip(write(tmp_path / "out"))
    with pytest.raises(sl.ResultsError, match=r"shard-000001\.npz is damaged \(the checksum of 'y' does not match\)"):
        sl.open_results(tmp_path / "out").verify()


@pytest.mark.reliability("results folders", "rows that are NaN or infinite", "data like any other")
def test_nan_is_data(tmp_path):
    write(tmp_path)
    found = {name: np.full_like(one, np.nan) for name, one in arrays(RUN.rows_of(1)).items()}
    found["y"][0] = np.inf
    write_shard(shard_path(tmp_path, 1), found, shard_origin(RUN, 1))
    results = sl.open_results(tmp_path)
    results.verify()
    assert np.isnan(results["z"][4:8]).all()
    assert prepare_folder(tmp_path, RUN, None, None) == (RUN, [])


@pytest.mark.reliability(
    "results folders",
    "a shard with a number beyond those of the run",
    "an error that names it, when reading and when the run goes on",
)
def test_a_renamed_shard(tmp_path):
    shard_path(write(tmp_path), 1).rename(shard_path(tmp_path, 9))
    with pytest.raises(sl.ResultsError, match=r"shard-000009\.npz is a shard more than the 3"):
        sl.open_results(tmp_path, incomplete=True)
    with pytest.raises(sl.ResultsError, match=r"shard-000009\.npz is a shard more than the 3"):
        prepare_folder(tmp_path, RUN, None, None)


@pytest.mark.reliability(
    "results folders",
    "manifest.json changed by hand: rows, seeds, weights",
    "an error when the folder is opened, and no shard is lost when a run is started",
)
@pytest.mark.parametrize(
    "change", [{"rows": 9}, {"rows": 0}, {"method": {"name": "other"}}, {"model": {}}, {"data": ""}]
)
def test_a_manifest_changed_by_hand(tmp_path, change):
    write_manifest(write(tmp_path), replace(RUN, **change))
    with pytest.raises(sl.ResultsError, match=r"manifest\.json"):
        sl.open_results(tmp_path)
    for run in (RUN, replace(RUN, **change)):
        with pytest.raises(sl.ResultsError):
            prepare_folder(tmp_path, run, None, None)
    assert len(list(tmp_path.glob("shard-*.npz"))) == 3


@pytest.mark.reliability(
    "results folders",
    "a folder that an older seqlight wrote, whose shards do not say their rows",
    "read; checksums, names, dtypes and numbers of rows are compared",
)
def test_folders_of_before(tmp_path):
    write(tmp_path, marked=False)
    np.testing.assert_array_equal(all_rows(tmp_path)["y"], np.arange(10))
    sl.open_results(tmp_path).verify()
    assert prepare_folder(tmp_path, RUN, None, None) == (replace(RUN, format=1), [])
    np.savez(shard_path(tmp_path, 1), y=np.arange(4), z=np.zeros((4, 2), np.float32))
    with pytest.warns(
        sl.SeqlightWarning, match=r"shard-000001.npz has y <i8.*, and others have y <f4 .*: it is made again"
    ):
        assert prepare_folder(tmp_path, RUN, None, None)[1] == [1]
    write_shard(shard_path(tmp_path, 1), arrays(RUN.rows_of(1)), shard_origin(RUN, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert prepare_folder(tmp_path, RUN, None, None)[1] == []
    # New shards in such a folder do say it.
    write_shard(shard_path(tmp_path, 0), arrays(RUN.rows_of(1)), shard_origin(RUN, 1))
    with pytest.raises(sl.ResultsError, match="holds rows 4 to 7"):
        all_rows(tmp_path)


@pytest.mark.reliability(
    "results folders", "loci.npz of another run with as many rows", "an error; written anew by the run"
)
def test_places_of_another_run(tmp_path):
    def loci(first):
        start = np.arange(10) + first
        return sl.Loci(np.array(["chr1"] * 10), start, start + 5, np.array(["+"] * 10))

    write_loci(write(tmp_path), loci(100), OTHER)
    with pytest.raises(sl.ResultsError, match=r"loci\.npz belongs to another run than manifest.json"):
        sl.open_results(tmp_path)["y"]["chr1"]
    with pytest.raises(sl.ResultsError, match=r"loci\.npz belongs to another run than manifest.json"):
        sl.open_results(tmp_path).verify()
    prepare_folder(tmp_path, RUN, None, loci(0))
    assert sl.open_results(tmp_path).rows_at("chr1:0-1").tolist() == [0]
    (tmp_path / "loci.npz").write_bytes((tmp_path / "loci.npz").read_bytes()[:-40])
    with pytest.raises(sl.ResultsError, match=r"loci\.npz is damaged"):
        _ = sl.open_results(tmp_path).loci
    prepare_folder(tmp_path, RUN, None, loci(0))
    assert sl.open_results(tmp_path).loci.start.tolist() == list(range(10))


@pytest.mark.reliability(
    "results folders", "a folder with the name of a shard", "an error that names it; nothing is deleted"
)
def test_a_folder_for_a_shard(tmp_path):
    shard_path(write(tmp_path), 1).unlink()
    shard_path(tmp_path, 1).mkdir()
    for use in (lambda: all_rows(tmp_path), lambda: prepare_folder(tmp_path, RUN, None, None)):
        with pytest.raises(sl.ResultsError, match=r"shard-000001\.npz cannot be read \(Is a directory\)"):
            use()
    assert read_shard(shard_path(tmp_path, 0))["y"].tolist() == [0, 1, 2, 3]


SHORTENED = """
import os, sys, numpy as np, seqlight as sl
found = sl.open_results(sys.argv[1])
column = found["y"]
first = column[0]
os.truncate(sys.argv[1] + "/shard-000000.npz", 100)
for use in (lambda: column[1], lambda: column.numpy(), lambda: column[[2, 3]], lambda: list(column), found.verify):
    try:
        use()
    except sl.ResultsError as error:
        print(error)
"""


@pytest.mark.reliability(
    "results folders",
    "a shard that is shortened while it is mapped",
    "an error; touching the map would kill the process",
)
def test_a_shard_that_is_shortened_in_place(tmp_path, in_a_process):
    write(tmp_path, replace(RUN, rows=20_000, shard_rows=20_000))
    told = in_a_process(SHORTENED, tmp_path)
    assert len(told) == 5
    assert all("shard-000000.npz" in line for line in told)
    assert "has changed since it was opened" in told[0]


@pytest.mark.reliability("results folders", "a shard that is written again while it is mapped", "an error that says so")
def test_a_shard_that_is_replaced(tmp_path):
    column = sl.open_results(write(tmp_path))["y"]
    assert column[5] == 5
    write_shard(shard_path(tmp_path, 1), arrays(RUN.rows_of(1)), shard_origin(RUN, 1))
    with pytest.raises(sl.ResultsError, match="has changed since it was opened"):
        column[5]
    shard_path(tmp_path, 1).unlink()
    with pytest.raises(sl.ResultsError, match=r"shard-000001\.npz has changed"):
        column[5]
    assert column[0] == 0
