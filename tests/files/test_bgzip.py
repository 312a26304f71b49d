"""Text in the blocks of bgzip: every byte is that of the text, and files that are damaged are named."""

import gzip
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import seqlight as sl
from compressed_text import blocks
from seqlight.files import bgzip
from seqlight.files.bgzip import LAST_BLOCK, BgzipText, is_bgzip

TEXT = bytes(np.random.RandomState(0).choice(list(b"ACGT\n"), 1000).astype(np.uint8))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("bgzip") / "a.gz"


@settings(max_examples=50)
@given(text=st.binary(max_size=200), size=st.integers(1, 60), data=st.data())
def test_every_piece_is_that_of_the_text(path, text, size, data):
    path.write_bytes(blocks(text, size))
    assert is_bgzip(path.read_bytes())
    found = BgzipText(path)
    assert len(found) == len(text)
    assert found[:].tobytes() == text
    if not text:
        return
    n = st.integers(0, len(text) - 1)
    at = np.array(data.draw(st.lists(n, min_size=1, max_size=8)))
    assert found[at].tolist() == [text[i] for i in at]
    assert found[int(at[0])] == text[at[0]]
    ends = np.array([data.draw(st.integers(int(i) + 1, len(text))) for i in at])
    pieces, shift = found.gather(at, ends)
    for first, last, by in zip(at, ends, shift, strict=True):
        assert pieces[first - by : last - by].tobytes() == text[first:last]


def test_few_blocks_are_unpacked_and_kept(path, monkeypatch):
    path.write_bytes(blocks(TEXT, 10))
    found, unpacked = BgzipText(path), []
    unpack = BgzipText._unpack
    monkeypatch.setattr(BgzipText, "_unpack", lambda self, k: unpacked.append(k) or unpack(self, k))
    monkeypatch.setattr(bgzip, "KEPT", 3)
    assert found[995:1000].tobytes() == TEXT[995:]
    assert found[5:25].tobytes() == TEXT[5:25]
    assert unpacked == [99, 0, 1, 2]
    assert found[:30].tobytes() == TEXT[:30]
    assert unpacked == [99, 0, 1, 2]
    assert found[990:].tobytes() == TEXT[990:]
    assert unpacked[-1] == 99
    found.release()
    assert pickle.loads(pickle.dumps(found))[5:25].tobytes() == TEXT[5:25]


def test_other_fields_and_blocks_without_text(path):
    (first, second) = (blocks(TEXT[:500], 100)[: -len(LAST_BLOCK)], blocks(TEXT[500:], 90))
    # A field of another program before that of bgzip.
    other = b"XY\x03\0abc"
    extra = int.from_bytes(first[10:12], "little") + len(other)
    size = int.from_bytes(first[16:18], "little") + len(other)
    first = first[:10] + extra.to_bytes(2, "little") + other + first[12:16] + size.to_bytes(2, "little") + first[18:]
    path.write_bytes(first + LAST_BLOCK + LAST_BLOCK + second)
    assert BgzipText(path)[:].tobytes() == TEXT == gzip.decompress(path.read_bytes())


@pytest.mark.reliability(
    "text files",
    "a bgzip file whose end is missing, with a wrong byte, or with a part that another program compressed",
    "an error that says so, when it is opened or where the wrong byte is read",
)
def test_files_that_cannot_be_used(path):
    whole = blocks(TEXT[:200], 100)
    for n in range(1, len(whole), 2):
        path.write_bytes(whole[:n])
        with pytest.raises(sl.InputError, match=r"without its end|lacks the last block|did not write"):
            BgzipText(path)
    path.write_bytes(whole[: -len(LAST_BLOCK)] + gzip.compress(b"ACGT") + LAST_BLOCK)
    at = len(whole) - len(LAST_BLOCK)
    with pytest.raises(sl.InputError, match=f"has a part that bgzip did not write, at byte {at}"):
        BgzipText(path)
    second = int.from_bytes(whole[16:18], "little") + 1
    for wrong in (second + 20, second + 40):
        path.write_bytes(whole[:wrong] + bytes([whole[wrong] ^ 1]) + whole[wrong + 1 :])
        found = BgzipText(path)
        assert found[:100].tobytes() == TEXT[:100]
        with pytest.raises(sl.InputError, match=f"is a damaged bgzip file, at byte {second + 18}"):
            found[90:110]
