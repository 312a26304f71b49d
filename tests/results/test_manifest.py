from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import seqlight as sl
from seqlight.results.manifest import Manifest, read_manifest, write_manifest


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


def test_differences_are_named():
    mine = manifest()
    assert mine.differences(manifest(versions={})) == []
    assert mine.differences(manifest(data="x")) == ["data ('cd' here, 'x' there)"]
    other = manifest(rows=11, method={"name": "predict", "dtype": None}, model={"weights": "ff"})
    assert [one.split(" (")[0] for one in mine.differences(other)] == ["rows", "method seeds", "model weights"]


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"format": 1}', '{"format": 99}'])
def test_invalid_manifests(tmp_path, content):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(sl.ResultsError, match=r"manifest\.json"):
        read_manifest(tmp_path)


HUGE = 10**15
FIELDS = {
    "rows": [-1, 1.5, "10", True, None, [10], {}, float("nan")],
    "shard_rows": [0, -4, "4", False, None, 4.0],
    "method": [None, "predict", ["predict"], 3],
    "model": [None, "ab", [], 3],
    "data": [None, 3, ["cd"], {}],
    "versions": [None, "1", ["1"], {"torch": 2.1}, {"torch": None}],
    "format": ["1", 1.0, 0, -1, True, None],
}


@pytest.mark.reliability(
    "results folders",
    "a field of manifest.json of another type, or out of range",
    "an error that names the file and the field",
)
@pytest.mark.parametrize(("name", "value"), [(name, one) for name, values in FIELDS.items() for one in values])
def test_invalid_fields(tmp_path, name, value):
    (tmp_path / "manifest.json").write_text(json.dumps(asdict(manifest()) | {name: value}))
    with pytest.raises(sl.ResultsError, match=rf"manifest\.json has {name} = .*, and it must be .*: restore it"):
        sl.open_results(tmp_path)


@pytest.mark.reliability(
    "results folders",
    "a field of manifest.json is missing or unknown",
    "an error that names the file and the field",
)
@pytest.mark.parametrize("name", FIELDS)
def test_missing_and_unknown_fields(tmp_path, name):
    found = asdict(manifest())
    del found[name]
    (tmp_path / "manifest.json").write_text(json.dumps(found))
    with pytest.raises(sl.ResultsError, match=rf"manifest\.json has no {name}: restore it"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps(asdict(manifest()) | {"more": 1}))
    with pytest.raises(sl.ResultsError, match=r'manifest\.json has a field "more", which no manifest has'):
        read_manifest(tmp_path)


@pytest.mark.reliability(
    "results folders",
    "manifest.json with more rows, or shards, than any run has",
    "an error at once",
)
@pytest.mark.parametrize(("rows", "shard_rows"), [(HUGE, 4), (HUGE, 1), (10**4000, 10**3), (1_000_001, 1)])
def test_more_shards_than_a_folder_holds(tmp_path, rows, shard_rows):
    found = asdict(manifest()) | {"rows": rows, "shard_rows": shard_rows}
    (tmp_path / "manifest.json").write_text(json.dumps(found))
    with pytest.raises(sl.ResultsError, match=r"manifest\.json has rows = .*a folder holds 1000000 at most"):
        sl.open_results(tmp_path, incomplete=True)


@pytest.mark.reliability(
    "results folders",
    "manifest.json that is a list, not JSON, empty, not UTF-8, or a folder",
    "an error that names it and says what it is",
)
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"[1, 2]", "holds a list"),
        (b"3", "holds an int"),
        (b"null", "holds None"),
        (b"{", "is not JSON"),
        (b'{"rows": 1' + b"0" * 5000 + b"}", "is not JSON"),
        (b'"\xff\xfe\xfa"', "is not JSON"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"[" * 100_000, "is not JSON"),
        (None, "cannot be read .Is a directory"),
    ],
)
def test_files_that_are_not_a_manifest(tmp_path, content, says):
    path = tmp_path / "manifest.json"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(sl.ResultsError, match=rf"manifest\.json {says}"):
        sl.open_results(tmp_path)


@pytest.mark.reliability(
    "results folders", "manifest.json of a newer seqlight", "an error that says which version to use"
)
def test_a_newer_format(tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps({"format": 3, "lines": 7}))
    with pytest.raises(
        sl.ResultsError, match="has format = 3, and this seqlight reads 2 at most: use the version that"
    ):
        read_manifest(tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(st.sampled_from(sorted(FIELDS)), JSON)
def test_any_value_is_read_or_refused(tmp_path_factory, name, value):
    folder = tmp_path_factory.mktemp("any")
    (folder / "manifest.json").write_text(json.dumps(asdict(manifest()) | {name: value}))
    try:
        found = read_manifest(folder)
    except sl.ResultsError as error:
        assert f"has {name} = " in str(error) or "shards, and a" in str(error)  # noqa: PT017
    else:
        assert found.fingerprint == replace(found, versions={}).fingerprint
        assert found.shards >= 0


def test_a_fingerprint_is_that_of_what_comes_back_from_the_file(tmp_path):
    mine = manifest(method={"target": (0, 1), "scale": float("nan"), "n": {1: "a"}, "é": 1.0})
    write_manifest(tmp_path, mine)
    assert read_manifest(tmp_path).fingerprint == mine.fingerprint
    assert manifest(versions={"torch": "1"}, format=2).fingerprint == manifest().fingerprint
    assert len({manifest(**{name: one}).fingerprint for name, one in
                [("rows", 11), ("shard_rows", 5), ("method", {}), ("model", {}), ("data", "")]}) == 5  # fmt: skip


def test_letters_label_a_run_and_need_not_be_there(tmp_path):
    plain, labelled = manifest(), manifest(alphabet="ACGU")
    assert plain.fingerprint == labelled.fingerprint
    assert plain.differences(labelled) == []
    for one in (plain, labelled):
        write_manifest(tmp_path, one)
        assert ("alphabet" in json.loads((tmp_path / "manifest.json").read_text())) == bool(one.alphabet)
        assert read_manifest(tmp_path) == one
    text = (tmp_path / "manifest.json").read_text().replace('"ACGU"', "3")
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(sl.ResultsError, match="has alphabet = 3, and it must be a text"):
        read_manifest(tmp_path)


def test_lengths_of_chromosomes_label_a_run_too(tmp_path):
    labelled = manifest(chrom_sizes={"chr1": 90})
    assert labelled.fingerprint == manifest().fingerprint
    assert manifest().differences(labelled) == labelled.differences(manifest()) == []
    write_manifest(tmp_path, labelled)
    assert read_manifest(tmp_path) == labelled
    path = tmp_path / "manifest.json"
    for wrong in ("0", "true", "9.5", '"90"'):
        path.write_text(path.read_text().replace('"chr1": 90', f'"chr1": {wrong}'))
        with pytest.raises(sl.ResultsError, match=r"has chrom_sizes = .*, and it must be an object of whole numbers"):
            read_manifest(tmp_path)
        path.write_text(path.read_text().replace(f'"chr1": {wrong}', '"chr1": 90'))
