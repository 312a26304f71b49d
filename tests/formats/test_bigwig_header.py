import os
import struct

import numpy as np
import pytest

import seqlight as sl
from seqlight.formats.bigwig_header import is_bigwig
from seqlight.formats.bigwig_reader import BigWig

from .test_bigwig_reader import made

pytest.importorskip("pyBigWig")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return made(tmp_path_factory.mktemp("big") / "a.bw", n=50)


def tree(content):
    """Return where the tree of chromosomes begins."""
    return struct.unpack_from("<Q", content, 8)[0]


def changed(file, tmp_path, change):
    content = bytearray(file.read_bytes())
    change(content)
    (tmp_path / "b.bw").write_bytes(content)
    return tmp_path / "b.bw"


def put(kind, at, value, inside=True):
    return lambda content: struct.pack_into(kind, content, at + (tree(content) if inside else 0), value)


@pytest.mark.reliability(
    "bigWig files",
    "cut off anywhere, or with wrong numbers in the header or among the chromosomes",
    "an error that says so; pyBigWig would crash the process",
)
@pytest.mark.parametrize(
    "change",
    [
        *(lambda content, n=n: content.__delitem__(slice(n, None)) for n in (0, 3, 63, 64, 100, 300)),
        put("<H", 6, 60_000, inside=False),
        put("<Q", 8, 2**63, inside=False),
        put("<Q", 16, 10, inside=False),
        put("<Q", 24, 10**9, inside=False),
        put("<I", 0, 0),
        put("<I", 4, 1),
        put("<I", 8, 0),
        put("<I", 8, 2**31),
        put("<I", 12, 4),
        put("<Q", 16, 3),
        put("<Q", 16, 2**40),
        put("<B", 32, 2),
        put("<B", 32, 0),
        put("<H", 34, 60_000),
        put("<I", 36 + 4, 7),
        put("<I", 36 + 4, 1),
    ],
)
def test_headers_that_are_wrong(file, tmp_path, change):
    assert is_bigwig(file)
    path = changed(file, tmp_path, change)
    assert not is_bigwig(path)
    with pytest.raises(sl.InputError, match=r"b\.bw is no bigWig file, or only a part of one"):
        BigWig(path)


def test_names_that_are_no_text(file, tmp_path):
    with pytest.raises(sl.InputError, match=r"b\.bw is no bigWig file, or only a part of one"):
        BigWig(changed(file, tmp_path, put("<B", 36, 0xFF)))


@pytest.mark.reliability(
    "files that are read in place", "a bigWig file that is written again or shortened", "an error that names it"
)
def test_a_file_that_changes(file, tmp_path):
    path = changed(file, tmp_path, len)
    opened = BigWig(path)
    opened.read("chr0", np.array([0]), 20)
    os.truncate(path, 500)
    with pytest.raises(sl.InputError, match=r"b\.bw has changed since it was opened"):
        opened.read("chr0", np.array([0]), 20)
    with pytest.raises(sl.InputError, match=r"b\.bw has changed|is no bigWig|cannot be read"):
        BigWig(path).read("chr0", np.array([0]), 20)


@pytest.mark.reliability("paths", "signals of a wrong type, or of a folder", "one sentence that says what was wanted")
@pytest.mark.parametrize("paths", [None, 3, b"a.bw", {"a.bw"}, [None], [3], "", ["no.bw"], "."])
def test_invalid_paths(paths):
    with pytest.raises(sl.InputError, match=r"a path of signals is|there is no file 'no.bw'|'.' is a folder"):
        sl.Signals(paths)
