from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import seqlight as sl
from seqlight.files.folder import as_folder
from seqlight.lit import ShardWriter


@pytest.mark.reliability(
    "results folders",
    "`out` or a folder above it is a file, a broken link, an address on the web, or not a path",
    "an error before anything is computed",
)
def test_invalid_folders(tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for out, says in (
        (tmp_path / "file", "file', which is a file: expected a folder, or a name that is free"),
        (str(tmp_path / "file" / "a" / "b"), "b', and .*file is a file"),
        (tmp_path / "link", "link is a broken link"),
        (tmp_path / "link" / "a", "link is a broken link"),
        (tmp_path / "loop", "loop"),
        ("s3://bucket/run", "'s3://bucket/run', an address: expected a folder on a file system"),
        (Path("gs://bucket/run"), "an address"),
        ("file:///tmp/run", "an address"),
        ("x" * 300, "cannot be used .File name too long"),
        ("", "is ''"),
        ("a\0b", "expected a path"),
        (None, "is None"),
        (3, "is an int"),
        (b"run", "is a bytes"),
    ):
        for use in (as_folder, ShardWriter, sl.open_results):
            with pytest.raises(sl.InputError, match=f"^out .*{says}"):
                use(out)
    assert (tmp_path / "file").read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == ["file", "link", "loop"]


def test_valid_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    for out in ("there", "new/deep", "link", "link/new", ".", "..", "a:b", "chr1:1-2", "C:/runs"):
        assert as_folder(out) == as_folder(Path(out)) == Path(out)


@given(st.text(max_size=20))
def test_any_text_is_a_path_or_refused(text):
    try:
        assert as_folder(text) == Path(text)
    except sl.InputError:
        assert text == "" or any(one in text for one in "\0/:") or not text.isascii()
