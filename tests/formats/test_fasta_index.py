import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import seqlight as sl
from seqlight.datasets import Genome
from seqlight.formats.fasta_index import scan_fasta

pyfaidx = pytest.importorskip("pyfaidx")

records = st.lists(
    st.tuples(st.text("abc|.", min_size=1, max_size=5), st.text("ACGTN", min_size=1, max_size=40), st.integers(1, 45)),
    min_size=1,
    max_size=4,
    unique_by=lambda one: one[0],
)


def as_text(found, newline, ending):
    parts = []
    for name, text, line in found:
        parts.append(f">{name} and more")
        parts.extend(text[i : i + line] for i in range(0, len(text), line))
    return newline.join(parts) + newline * ending


@given(
    found=records,
    newline=st.sampled_from(["\n", "\r\n"]),
    ending=st.integers(0, 1),
    chunk=st.sampled_from([1, 5, 2**24]),
)
def test_the_index_is_that_of_pyfaidx(tmp_path_factory, found, newline, ending, chunk):
    folder = tmp_path_factory.mktemp("any")
    (folder / "a.fa").write_bytes(as_text(found, newline, ending).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seqlight.formats.fasta_index.CHUNK", chunk)
        ours = scan_fasta(folder / "a.fa")
    pyfaidx.Faidx(str(folder / "a.fa")).close()
    rows = [line.split("\t") for line in (folder / "a.fa.fai").read_text().splitlines()]
    assert list(ours.names) == [row[0] for row in rows]
    assert ours.size.tolist() == [int(row[1]) for row in rows]
    assert ours.offset.tolist() == [int(row[2]) for row in rows]
    for i, (_, text, line) in enumerate(found):
        # After a single line, pyfaidx and we may differ on the width of lines.
        if len(text) > line:
            assert [int(ours.bases[i]), int(ours.width[i])] == [int(one) for one in rows[i][3:5]]


@given(lengths=st.lists(st.integers(0, 6), min_size=2, max_size=6))
def test_lines_of_different_lengths(tmp_path_factory, lengths):
    *before, last = lengths
    while not last:
        assume(before)
        *before, last = before
    path = tmp_path_factory.mktemp("any") / "a.fa"
    path.write_text(">a\n" + "".join("A" * n + "\n" for n in lengths))
    if len({*before}) > 1 or (before and last > before[0]):
        with pytest.raises(sl.InputError, match="'a' has lines of different lengths"):
            scan_fasta(path)
    else:
        assert scan_fasta(path).size.tolist() == [sum(lengths)]


@pytest.mark.parametrize("text", [">", ">\nACGT\n", "> a\nACGT\n", ">a\nACGT\n>\tb\nA\n"])
def test_names_that_are_missing(tmp_path, text):
    (tmp_path / "a.fa").write_text(text)
    with pytest.raises(sl.InputError, match="a sequence without a name, at byte"):
        scan_fasta(tmp_path / "a.fa")


def test_marks_inside_of_lines_begin_no_record(tmp_path):
    (tmp_path / "a.fa").write_text(">a >b\nAC>GT\nACGT\n")
    assert scan_fasta(tmp_path / "a.fa").size.tolist() == [9]


@pytest.mark.reliability(
    "FASTA files", "byte-order marks, at the beginning or where files were joined", "read as if they were not there"
)
@pytest.mark.parametrize("chunk", [*range(1, 12), 2**24])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_byte_order_marks(tmp_path, monkeypatch, chunk, newline):
    monkeypatch.setattr("seqlight.formats.fasta_index.CHUNK", chunk)
    path = tmp_path / "a.fa"
    path.write_text(newline.join(["\ufeff>a", "ACGT", "AC", "\ufeff>b", "GG", ">c", "\ufeff>d", "T"]), newline="")
    found = scan_fasta(path)
    assert found.names == tuple("abcd")
    assert found.size.tolist() == [6, 2, 0, 1]
    raw = path.read_bytes()
    assert [chr(raw[one]) for one in found.offset[[0, 1, 3]]] == list("AGT")
    first = Genome(path).sizes
    assert Genome(path).sizes == first == {"a": 6, "b": 2, "c": 0, "d": 1}  # by the index beside the file


@pytest.mark.reliability(
    "FASTA files", "UTF-16, zip, a carriage return alone at the ends of lines, a folder", "an error that says which"
)
def test_unusual_fasta_files(tmp_path):
    path = tmp_path / "a.fa"
    for content, said in (
        (">a\nACGT\n".encode("utf-16"), "is no text in UTF-8 but in UTF-16: expected a FASTA file"),
        (">a\nACGT\n".encode("utf-16-be"), "is no text in UTF-8 but in UTF-16"),
        (b"PK\x03\x04", "compressed by zip"),
        (b">a\rACGT\r", "ends lines with a carriage return alone"),
        (b">a\x00\x01", "holds binary data"),
    ):
        path.write_bytes(content)
        with pytest.raises(sl.InputError, match=f"a.fa {said}|a.fa is no text but {said}"):
            Genome(path)
    with pytest.raises(sl.InputError, match="is a folder: expected a FASTA file"):
        Genome(tmp_path)
    with pytest.raises(sl.InputError, match="path is None: expected a path"):
        Genome(None)
