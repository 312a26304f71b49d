import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

import seqlight as sl
from seqlight.formats.fasta_reader import read_fasta


@given(
    sequences=st.lists(st.text("ACGTNacgt", max_size=30), min_size=1, max_size=5),
    width=st.integers(1, 12),
    newline=st.sampled_from(["\n", "\r\n", "\r"]),
    packed=st.booleans(),
)
def test_records_are_read_whatever_their_lines(tmp_path_factory, sequences, width, newline, packed):
    lines = []
    for i, one in enumerate(sequences):
        lines += [f">seq_{i} of {len(one)}", *(one[at : at + width] for at in range(0, len(one), width)), ""]
    path = tmp_path_factory.mktemp("fasta") / "a.fa"
    content = newline.join(lines).encode()
    path.write_bytes(gzip.compress(content) if packed else content)
    found = read_fasta(path)
    assert found.names == [f"seq_{i}" for i in range(len(sequences))]
    assert found.sequences == [one.upper() for one in sequences]


def test_what_write_fasta_writes_is_read_back(tmp_path):
    X = sl.random_one_hot((3, 4, 50), random_state=0)
    sl.write_fasta(tmp_path / "a.fa", X, names=["a", "b", "c"], line=7)
    found = read_fasta(tmp_path / "a.fa")
    assert found.names == ["a", "b", "c"]
    assert found.sequences == sl.characters(X)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ACGT\n>a\nACGT\n", "a.fa does not begin with '>': expected FASTA"),
        ("", "a.fa holds no sequence: expected FASTA"),
        ("\n\n", "a.fa holds no sequence: expected FASTA"),
    ],
)
def test_files_that_are_no_fasta(tmp_path, text, message):
    (tmp_path / "a.fa").write_text(text)
    with pytest.raises(sl.InputError, match=message):
        read_fasta(tmp_path / "a.fa")
