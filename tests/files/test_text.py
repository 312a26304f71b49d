import bz2
import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

import seqlight as sl
from seqlight.files.text import read_text

LINE = "chr1\t10\t20\n"
EXTRA = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def written(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.reliability(
    "text files",
    "byte-order marks of UTF-8, in front of any line; plain, CRLF or gzipped",
    "read as if they were not there",
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_marks_and_ends_of_lines(tmp_path, pack, newline):
    part = "\ufeff" + f"a é{newline}b{newline}"
    path = written(tmp_path / "a.bed", pack((part + part).encode()))
    assert read_text(path) == "a é\nb\na é\nb\n"


@pytest.mark.reliability("text files", "text in UTF-16 or UTF-32, with or without its mark", "an error that says so")
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_other_encodings(tmp_path, encoding, pack):
    path = written(tmp_path / "a.bed", pack((LINE * 3).encode(encoding)))
    if encoding == "utf-8-sig":
        assert read_text(path) == LINE * 3
        return
    with pytest.raises(sl.InputError, match=rf"a.bed is no text in UTF-8 but in {encoding.upper()[:6]}: .* a BED file"):
        read_text(path, "a BED file")


def test_latin_1_where_it_is_allowed(tmp_path):
    path = written(tmp_path / "a.meme", b"line\n# \xe9t\xe9\n")
    assert read_text(path, otherwise="latin-1") == "line\n# été\n"
    with pytest.raises(sl.InputError, match=r"a.meme is no text in UTF-8, as line 2 shows: expected a MEME file"):
        read_text(path, "a MEME file")


def test_files_that_are_not_text(tmp_path):
    path = written(tmp_path / "a.bed", b"chr1\t10\0\0\0\x01\xff")
    with pytest.raises(sl.InputError, match="is no text but holds binary data: expected a text file"):
        read_text(path)
    for content, program in ((bz2.compress(b"chr1"), "bzip2"), (b"PK\x03\x04...", "zip"), (b"\xfd7zXZ\0..", "xz")):
        with pytest.raises(sl.InputError, match=f"is no text but compressed by {program}: unpack it, or use gzip"):
            read_text(written(path, content))


@pytest.mark.reliability(
    "text files", "gzip and bgzip files whose end is missing, or with a wrong byte", "an error that says so"
)
def test_gzip_files(tmp_path):
    whole = gzip.compress(LINE.encode() * 100)
    assert read_text(written(tmp_path / "a.bed", whole + whole)) == LINE * 200
    for end in (2, 9, 20, len(whole) - 9, len(whole) - 1):
        with pytest.raises(sl.InputError, match=r"a.bed is a gzip file without its end"):
            read_text(written(tmp_path / "a.bed", whole[:end]))
    for content in (whole[:-6] + b"\0" + whole[-5:], whole + b"rest", b"\x1f\x8brest of it"):
        with pytest.raises(sl.InputError, match=r"a.bed is a damaged gzip file"):
            read_text(written(tmp_path / "a.bed", content))


def test_bgzip_files(tmp_path):
    bgzf = pytest.importorskip("Bio.bgzf")
    path = tmp_path / "a.bed.gz"
    with bgzf.BgzfWriter(path) as file:
        for _ in range(3):
            file.write(LINE)
            file.flush()
    assert read_text(path) == LINE * 3
    content = path.read_bytes()
    assert content.endswith(EXTRA)
    # Cut off between two blocks, it can be unpacked without an error.
    blocks = content[: content.rindex(b"\x1f\x8b\x08\x04", 0, -len(EXTRA))]
    assert gzip.decompress(blocks).decode() == LINE * 2
    with pytest.raises(sl.InputError, match=r"a.bed.gz lacks the last block that bgzip writes"):
        read_text(written(path, blocks))


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff"), max_size=30))
def test_text_comes_back(tmp_path_factory, text):
    path = written(tmp_path_factory.mktemp("text") / "a.txt", text.encode())
    assert read_text(path) == text.replace("\r\n", "\n").replace("\r", "\n")
