import itertools
import os

import numpy as np
import pytest

import seqlight.files.digests as module
from seqlight.files.digests import digest, digest_of_file


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(module, "WHOLE", 640)
    monkeypatch.setattr(module, "BLOCK", 10)
    monkeypatch.setattr(module, "_known", {})


def test_parts_do_not_run_into_each_other():
    assert digest("ab", "c") != digest("a", "bc")
    assert digest([1], [2]) != digest([1, 2])
    assert digest(np.arange(4)) != digest(np.arange(2), np.arange(2, 4))
    assert digest(np.zeros(4)) != digest(np.zeros((2, 2))) != digest(np.zeros(4, np.float32))
    assert digest(np.array(["a", "bc"], object)) != digest(np.array(["ab", "c"], object))
    assert digest(np.empty((0, 4))) == digest(np.empty((0, 4)))
    assert len(digest()) == 32


@pytest.mark.parametrize("size", [0, 1, 640, 641, 700, 6400])
def test_files_and_maps(small, tmp_path, size):
    content = np.random.RandomState(0).bytes(size)
    path = tmp_path / "a"
    path.write_bytes(content)
    first = digest_of_file(path)
    seen = 0
    for at in {0, size // 2, size - 1} & set(range(size)):
        changed = bytearray(content)
        changed[at] ^= 1
        (tmp_path / f"at{at}").write_bytes(changed)
        seen += digest_of_file(tmp_path / f"at{at}") != first
    # Of a file read in blocks both ends are read, but not everything.
    assert seen >= min(size, 2)
    assert size > 640 or seen == len({0, size // 2, size - 1} & set(range(size)))
    path.write_bytes(content + b"x")
    assert digest_of_file(path) != first
    if size:
        mapped = np.memmap(tmp_path / "a", np.uint8, mode="r", shape=(size,))
        array = np.frombuffer(content, np.uint8)
        assert (digest(mapped) == digest(array)) == (size <= 640)


def test_blocks_reach_from_end_to_end(small):
    for size in (641, 650, 6400, 10**9):
        blocks = module._blocks(size)
        assert len(blocks) == 64
        assert blocks[0][0] == 0
        assert blocks[-1][0] + blocks[-1][1] == size
        assert all(a[0] < b[0] for a, b in itertools.pairwise(blocks))


def test_a_digest_is_kept_while_the_file_is_the_same(small, tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    first = digest_of_file(path)
    monkeypatch.setattr(module, "_blocks", lambda size: pytest.fail("read again"))
    assert digest_of_file(path) == first
    monkeypatch.undo()
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert digest_of_file(path) != first
