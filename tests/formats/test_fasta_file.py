from __future__ import annotations

import gzip
import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import seqlight as sl
from compressed_text import PACKERS
from seqlight.formats.fasta_file import FastaFile
from seqlight.sequence.alphabets import DNA, PROTEIN, RNA, as_alphabet

NAMES = st.text("abcXYZ019_.:-|", min_size=1, max_size=8)
KNOWN = {"DNA": DNA, "RNA": RNA, "protein": PROTEIN, "own": as_alphabet("AB-c")}


def records(alphabet):
    letters = alphabet.letters + alphabet.unknown
    letters += letters.lower() if alphabet.letters.isupper() else ""
    return st.dictionaries(NAMES, st.text(letters, max_size=40), min_size=1, max_size=6)


def write(path, content, line, newline, pack):
    text = "".join(
        f">{name} more\n" + "".join(f"{sequence[i : i + line]}\n" for i in range(0, len(sequence), line))
        for name, sequence in content.items()
    )
    path.write_bytes(PACKERS[pack](text.replace("\n", newline).encode()))
    return path


def meant(alphabet, sequence, length):
    """Return a record as one_hot_encode makes it: in its letters alone, filled up to a length."""
    fill = "!"
    known = dict(alphabet.synonyms)
    text = sequence.upper() if alphabet.letters.isupper() else sequence
    text = "".join(known.get(letter, letter) for letter in text)
    text = "".join(letter if letter in alphabet.letters else fill for letter in text).ljust(length, fill)
    return sl.one_hot_encode(text, alphabet=tuple(alphabet.letters), ignore=(fill,))


@pytest.mark.parametrize("pack", PACKERS)
@pytest.mark.parametrize("kind", KNOWN)
@settings(max_examples=25)
@given(st.data())
def test_records_are_those_of_one_hot_encode(pack, kind, data):
    alphabet = KNOWN[kind]
    content = data.draw(records(alphabet))
    line, newline = data.draw(st.integers(1, 50)), data.draw(st.sampled_from(["\n", "\r\n"]))
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "a", content, line, newline, pack)
        file = FastaFile(path, alphabet, unpack=True, write_index=False)
        assert file.sizes == {name: len(sequence) for name, sequence in content.items()}
        assert [file.length_of(record) for record in range(len(content))] == list(file.sizes.values())
        rows, zeros = np.arange(len(content)), np.zeros(len(content), np.int64)
        length = max(1, *file.sizes.values())
        found = file.cut_rows(rows, zeros, zeros, length)
        assert torch.equal(found, torch.stack([meant(alphabet, one, length) for one in content.values()]))
        counts = file.unknown_letters()
        text = "".join(content.values())
        text = text.upper() if alphabet.letters.isupper() else text
        assert counts == {one: text.count(one) for one in alphabet.unknown[1:] if one in text}
        assert [one.name for one in Path(folder).iterdir()] == ["a"]


def test_lines_of_different_lengths(tmp_path):
    (tmp_path / "a.fa").write_text(">a\nTG\nACTC\n\nA\n>b\nGG\n")
    with pytest.raises(sl.InputError, match="cannot be indexed: 'a' has lines of different lengths"):
        FastaFile(tmp_path / "a.fa")
    assert FastaFile(tmp_path / "a.fa", unpack=True).sizes == {"a": 7, "b": 2}


def test_a_compressed_file_is_read_again_where_it_is_unpickled(tmp_path):
    path = tmp_path / "a.fa"
    path.write_bytes(gzip.compress(b">a\nTTGAC\n>b\nGGGGG\n"))
    file = FastaFile(path, unpack=True)
    other = pickle.loads(pickle.dumps(file))
    rows, zeros = np.arange(2), np.zeros(2, np.int64)
    assert torch.equal(other.cut_rows(rows, zeros, zeros, 5), file.cut_rows(rows, zeros, zeros, 5))
    path.write_bytes(gzip.compress(b">a\nTTGACC\n"))
    with pytest.raises(sl.InputError, match="changed"):
        other.cut_rows(rows, zeros, zeros, 5)


@pytest.mark.reliability(
    "sequences from files",
    "a letter that the alphabet does not have, in FASTA that is plain or compressed",
    "an error that names the record and the position",
)
@pytest.mark.parametrize("pack", PACKERS)
def test_a_strange_letter_has_a_place(tmp_path, pack):
    path = write(tmp_path / "a.fa", {"a": "ACGTACGT", "b": "ACGTACJT", "c": "J"}, 3, "\n", pack)
    file = FastaFile(path, unpack=True)
    for look in (file.unknown_letters, lambda: file.cut_rows(np.array([1]), np.array([2]), np.zeros(1, bool), 6)):
        with pytest.raises(sl.InputError, match=r"a\.fa, b:6 is 'J': expected a nucleotide, or one of NRY"):
            look()
    rna = (RNA, "a letter of RNA, one of ACGU, or one of NRY")
    for alphabet, expected in (rna, (as_alphabet("ACGT*"), "one of A")):
        with pytest.raises(sl.InputError, match=f"b:6 is 'J': expected {expected}"):
            FastaFile(path, alphabet, unpack=True).unknown_letters()


@pytest.mark.reliability(
    "sequences from files", "compressed FASTA without its end, a record without a name, or no FASTA", "an error each"
)
def test_compressed_files_that_cannot_be_read(tmp_path):
    for content, message in (
        (gzip.compress(b">a\nACGT\n" * 9)[:-9], "is a gzip file without its end: copy or download it again"),
        (PACKERS["bgzip"](b">a\nACGT\n" * 9)[:-28], "lacks the last block that bgzip writes"),
        (gzip.compress(b">\nACGT\n"), "has a sequence without a name, its number 1: expected one behind '>'"),
        (gzip.compress(b">a\nACGT\n>a\nA\n"), "two sequences of the FASTA file are named 'a'"),
        (gzip.compress(b"ACGT\n"), "does not begin with '>': expected a FASTA file"),
        (gzip.compress(b""), "does not begin with '>': expected a FASTA file"),
    ):
        (tmp_path / "a.fa.gz").write_bytes(content)
        with pytest.raises(sl.InputError, match=message):
            FastaFile(tmp_path / "a.fa.gz", unpack=True)


def test_no_index_is_written_unless_allowed(tmp_path):
    (tmp_path / "a.fa").write_text(">a\nACGT\n")
    FastaFile(tmp_path / "a.fa", write_index=False)
    assert not (tmp_path / "a.fa.fai").exists()
    FastaFile(tmp_path / "a.fa")
    assert (tmp_path / "a.fa.fai").exists()
