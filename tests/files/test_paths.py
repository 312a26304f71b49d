import io
import os
from pathlib import Path

import pytest

import seqlight as sl
from seqlight.files.paths import as_path, existing_file, file_to_write

NONE = [None, 3, 2.5, b"a.bed", ["a.bed"], {"a.bed"}, io.StringIO("chr1"), Path, True]


@pytest.mark.reliability(
    "paths",
    "None, a number, bytes, a list or an open file in place of a path",
    "one sentence that says what was wanted",
)
@pytest.mark.parametrize("check", [as_path, existing_file, file_to_write])
@pytest.mark.parametrize("source", NONE, ids=lambda one: type(one).__name__)
def test_invalid_paths(check, source):
    with pytest.raises(sl.InputError, match=r"^fasta is .*: expected a path, as a str or a pathlib.Path\.$"):
        check(source, name="fasta")


class Bytes:
    def __fspath__(self):
        return b"a.bed"


@pytest.mark.parametrize(("source", "shown"), [("", "''"), ("a\0.bed", r"'a\\x00.bed'")])
def test_invalid_file_names(source, shown):
    with pytest.raises(sl.InputError, match=rf"^path is {shown}, which no file can be called"):
        as_path(source)
    with pytest.raises(sl.InputError, match="path is a Bytes"):
        as_path(Bytes())


def test_files_that_are_there(tmp_path):
    (tmp_path / "a.bed").write_text("x")
    (tmp_path / "link.bed").symlink_to("a.bed")
    with os.scandir(tmp_path) as entries:
        entry = next(entries)
    for source in (tmp_path / "a.bed", str(tmp_path / "a.bed"), tmp_path / "link.bed", entry):
        assert existing_file(source).read_text() == "x"
        assert isinstance(file_to_write(source), Path)


def test_files_that_are_not_there(tmp_path, monkeypatch):
    (tmp_path / "a.bed").write_text("x")
    (tmp_path / "gone.bed").symlink_to("nowhere")
    for path in (tmp_path / "b.bed", tmp_path / "a.bed" / "b.bed", tmp_path / "gone.bed"):
        with pytest.raises(sl.InputError, match=r"^there is no file '.*': expected a BED file\.$"):
            existing_file(path, "a BED file")
    with pytest.raises(sl.InputError, match="is a folder: expected a BED file"):
        existing_file(tmp_path, "a BED file")
    with pytest.raises(sl.InputError, match=r"cannot be read \(File name too long\)"):
        existing_file(tmp_path / ("a" * 5000))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(sl.InputError, match="is a pipe or a device"):
        existing_file(tmp_path / "pipe")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(sl.InputError, match=r"a.bed' cannot be read \(Permission denied\)"):
        existing_file(tmp_path / "a.bed")


def test_files_that_cannot_be_written(tmp_path):
    (tmp_path / "a.bed").write_text("x")
    with pytest.raises(sl.InputError, match="is a folder: expected the path of a file to write"):
        file_to_write(tmp_path)
    for folder in ("no", "a.bed"):
        with pytest.raises(sl.InputError, match=rf"^there is no folder '.*{folder}' to write b.bed to: make it first"):
            file_to_write(tmp_path / folder / "b.bed")
