import errno
import os

import pandas as pd
import pytest

import seqlight as sl
from seqlight.files.atomic import atomic_write


def test_the_name_appears_when_all_is_written(tmp_path):
    final = tmp_path / "a.txt"
    with atomic_write(final) as partial:
        partial.write_text("half")
        assert not final.exists()
        partial.write_text("whole")
    assert final.read_text() == "whole"
    assert [one.name for one in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.reliability(
    "paths", "a disk that fills up while a file is written, or a folder of its name", "the sentence names the file"
)
def test_an_error_of_the_system_names_the_file(tmp_path):
    final = tmp_path / "a.txt"
    (tmp_path / "b.txt").mkdir()
    with pytest.raises(OSError, match=rf"No space left on device: '{final}'"), atomic_write(final):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match=rf"Is a directory: '{tmp_path / 'b.txt'}'"):  # noqa: SIM117
        with atomic_write(tmp_path / "b.txt") as partial:
            partial.touch()
    with pytest.raises(FileNotFoundError, match=rf"'{tmp_path / 'other'}'"), atomic_write(final):
        (tmp_path / "other").read_bytes()
    with pytest.raises(sl.errors.DiskError, match=r"^no room\.$"), atomic_write(final):
        raise sl.errors.DiskError("no room.", errno.ENOSPC)
    assert [one.name for one in tmp_path.iterdir()] == ["b.txt"]


@pytest.mark.reliability(
    "paths",
    "output to a link to a file on another disk, to a pipe, or to /dev/stdout",
    "the file behind the link is written, and the link stays; pipes and devices are refused, and stay as they are",
)
def test_links_are_followed_and_devices_left_alone(tmp_path):
    (tmp_path / "disk").mkdir()
    link, pipe, to_pipe = tmp_path / "a.txt", tmp_path / "pipe", tmp_path / "to_pipe"
    (tmp_path / "disk" / "b.txt").touch()
    link.symlink_to(tmp_path / "disk" / "b.txt")
    os.mkfifo(pipe)
    to_pipe.symlink_to(pipe)
    for text in ("one", "two"):
        with atomic_write(link) as partial:
            partial.write_text(text)
        assert link.is_symlink()
        assert (tmp_path / "disk" / "b.txt").read_text() == text
    for path in (pipe, to_pipe):
        with (
            pytest.raises(sl.InputError, match="is a pipe or a device: expected the path of a file"),
            atomic_write(path),
        ):
            pass
    assert pipe.is_fifo()
    assert to_pipe.is_symlink()
    assert [one.name for one in (tmp_path / "disk").iterdir()] == ["b.txt"]


def test_an_error_leaves_the_earlier_file(tmp_path):
    final = tmp_path / "a.txt"
    final.write_text("earlier")

    def fail():
        with atomic_write(str(final)) as partial:
            partial.write_text("half")
            raise KeyError("lost")

    with pytest.raises(KeyError):
        fail()
    assert final.read_text() == "earlier"
    assert [one.name for one in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "no" / "a.txt") as partial:
        partial.write_text("a")


PATHS = [None, 3, b"a.bed", ["a.bed"], "", "a\0b"]


@pytest.mark.reliability(
    "paths", "writing to a wrong type, to a folder, into a folder that does not exist", "one sentence each"
)
def test_paths_of_writers(tmp_path):
    X = sl.random_one_hot((2, 4, 20), random_state=0)
    loci = pd.DataFrame({"chrom": ["chr1"] * 2, "start": [0, 5], "end": [20, 25]})
    seqlets = sl.to_genome(pd.DataFrame({"example_idx": [0], "start": [1], "end": [5], "attribution": [1.0]}), loci)
    writers = [
        lambda path: sl.write_fasta(path, X),
        lambda path: sl.write_bed(path, seqlets),
        lambda path: sl.write_meme(path, {"a": X[0]}),
        lambda path: sl.write_bigwig(path, X, loci, {"chr1": 100}),
    ]
    for write in writers:
        for path in PATHS:
            with pytest.raises(sl.InputError, match=r"path is .*: expected a path"):
                write(path)
        with pytest.raises(sl.InputError, match="is a folder: expected the path of a file to write"):
            write(tmp_path)
        with pytest.raises(sl.InputError, match=r"there is no folder .* to write a.x to: make it first"):
            write(tmp_path / "no" / "a.x")
    for path in [*PATHS, __file__]:
        with pytest.raises(sl.InputError, match="folder is"):
            sl.write_modisco(path, X, X + 1.0)
    for path in PATHS:
        with pytest.raises(sl.InputError, match="to is"):
            sl.consolidate("no results", path)
    assert list(tmp_path.iterdir()) == []
