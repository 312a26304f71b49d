from __future__ import annotations

import json
from dataclasses import replace

import pytest

import seqlight as sl
from seqlight.storage.manifest import Manifest, path_of, read_manifest, write_manifest


def manifest(**changes):
    return replace(Manifest(10, 4, {"name": "predict", "seeds": [0, 1]}, {"weights": "ab"}, "cd"), **changes)


def test_it_is_read_as_it_was_written(tmp_path):
    assert read_manifest(tmp_path) is None
    write_manifest(tmp_path, manifest())
    assert read_manifest(tmp_path) == manifest()
    assert {"seqlight", "torch", "numpy", "python"} <= json.loads((tmp_path / "manifest.json").read_text())[
        "versions"
    ].keys()


def test_shards():
    assert manifest().shards == 3
    assert [list(manifest().rows_of(k)) for k in range(3)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert manifest(rows=0).shards == 0
    assert path_of(__import__("pathlib").Path("a"), 7).name == "shard-000007.npz"


def test_differences_are_named():
    mine = manifest()
    assert mine.differences(manifest(versions={})) == []
    assert mine.differences(manifest(data="x")) == ["data ('cd' here, 'x' there)"]
    other = manifest(rows=11, method={"name": "predict", "dtype": None}, model={"weights": "ff"})
    assert [one.split(" (")[0] for one in mine.differences(other)] == ["rows", "method seeds", "model weights"]


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"format": 1}', '{"format": 99}'])
def test_what_is_no_manifest(tmp_path, content):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(sl.ResultsError, match=r"manifest\.json"):
        read_manifest(tmp_path)
