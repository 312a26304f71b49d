import os
import pickle

import pytest

import seqlight as sl
from seqlight.files.stamp import FileStamp


@pytest.fixture
def file(tmp_path):
    (tmp_path / "a.fa").write_text(">a\nTGACTCA\n")
    return tmp_path / "a.fa"


def test_a_file_that_is_left_alone(file):
    stamp = FileStamp.of(file)
    file.read_bytes()
    stamp.require_unchanged()
    pickle.loads(pickle.dumps(stamp)).require_unchanged()
    FileStamp.of(str(file)).require_unchanged()


def shorten(file):
    os.truncate(file, 3)


def lengthen(file):
    file.write_text(file.read_text() + ">b\nA\n")


def write_again(file):
    file.write_text(file.read_text().lower())
    os.utime(file, ns=(1, 1))


def replace(file):
    status = file.stat()
    other = file.with_name("other")
    other.write_bytes(file.read_bytes())
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(file)


def remove(file):
    file.unlink()


@pytest.mark.reliability(
    "files that are read in place",
    "a file that is shortened, written again, replaced or deleted while it is open",
    "an error that names it, before it is read on",
)
@pytest.mark.parametrize(
    ("change", "how"),
    [
        (shorten, "11 bytes then, 3 now"),
        (lengthen, "11 bytes then, 16 now"),
        (write_again, "it was written again"),
        (replace, "it was written again"),
        (remove, "it can no longer be read, No such file or directory"),
    ],
)
@pytest.mark.parametrize("error", [sl.InputError, sl.ResultsError])
def test_a_file_that_changes(file, change, how, error):
    stamp = FileStamp.of(file)
    change(file)
    with pytest.raises(error, match=rf"a\.fa has changed since it was opened \({how}\)"):
        stamp.require_unchanged(error)
