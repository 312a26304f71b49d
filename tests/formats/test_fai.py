import gzip
import os
import re
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

import seqlight as sl
from seqlight.formats.fai import load_fasta_index
from toy_genome import write_genome

pyfaidx = pytest.importorskip("pyfaidx")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("line", [1, 13, 60, 1000])
def test_every_byte_is_where_the_index_says(genome, tmp_path, newline, last, line):
    path = write_genome(tmp_path / "a.fa", genome, line, newline, last)
    index = load_fasta_index(path)
    raw = path.read_bytes().decode()
    assert index.names == tuple(genome)
    for name, size, offset, bases, width in zip(*index, strict=True):
        found = "".join(raw[offset + i // bases * width + i % bases] for i in range(size))
        assert found == genome[name]


def test_an_index_is_kept_and_used(fasta, genome):
    first = load_fasta_index(fasta)
    kept = fasta.with_name("toy.fa.fai")
    assert kept.read_text().split("\n")[0].split("\t")[:2] == ["chr1", "317"]
    assert list(pyfaidx.Fasta(str(fasta)).keys()) == list(genome)
    stamp = kept.stat().st_mtime_ns
    again = load_fasta_index(fasta)
    assert kept.stat().st_mtime_ns == stamp
    assert again.names == first.names
    assert sorted(one.name for one in fasta.parent.iterdir()) == ["toy.fa", "toy.fa.fai"]


def test_an_index_that_is_older_than_the_file_is_made_anew(fasta, genome):
    load_fasta_index(fasta)
    other = {"new": "ACGTACGT", **genome}
    time.sleep(0.02)
    write_genome(fasta, other)
    os.utime(fasta, (time.time() + 5, time.time() + 5))
    assert load_fasta_index(fasta).names == tuple(other)


def test_the_index_of_another_file_is_refused(fasta, genome):
    load_fasta_index(fasta)
    write_genome(fasta, {"chr1": genome["chr1"][:-3], "chr2": genome["chr2"]})
    os.utime(fasta, (1, 1))
    with pytest.raises(sl.InputError, match="is not the index of"):
        load_fasta_index(fasta)
    write_genome(fasta, {"a": "ACGT"})
    os.utime(fasta, (1, 1))
    with pytest.raises(sl.InputError, match="is not the index of"):
        load_fasta_index(fasta)


@pytest.mark.parametrize("text", ["chr1\t5\t6\n", "chr1\tx\t6\t60\t61\n", ""])
def test_a_broken_index_is_refused(fasta, text):
    fasta.with_name("toy.fa.fai").write_text(text)
    with pytest.raises(sl.InputError, match="delete"):
        load_fasta_index(fasta)


TWO = ">a x\nACGT\nACGT\nAC\n>b\nAC\n\n\n\n"  # 35 bytes


@pytest.mark.reliability(
    "FASTA indexes",
    "a .fai with wrong numbers: behind the file's end, beyond 64 bits, of other lines or names",
    "an error that says to delete it",
)
@pytest.mark.parametrize(
    "lines",
    [
        ["a\t10000000001\t6\t10000000000\t49"],
        ["a\t10\t99999999999999999999\t4\t5"],
        ["a\t9223372036854775807\t5\t4\t5"],
        ["a\t10\t5\t0\t0"],
        ["a\t10\t5\t5\t4"],
        ["a\t10\t5\t4\t7"],
        ["a\t10\t5\t4\t4"],
        ["a\t10\t0\t4\t5"],
        ["a\t-10\t5\t4\t5"],
        ["a\t1_0\t5\t4\t5"],
        ["a\t10\t5\t4"],
        ["a\t10\t6\t4\t5"],
        ["a\t4\t5\t4\t5"],  # an older, shorter a, whose end is the end of a line
        ["a\t8\t5\t4\t5"],
        ["a\t9\t5\t4\t5"],
        ["a\t10\t5\t3\t5"],  # CRLF, so that each line would lose a letter
        ["a\t8\t5\t8\t9"],
        ["A\t10\t5\t4\t5"],
        ["a x\t10\t5\t4\t5"],
        ["b\t10\t5\t4\t5"],
        ["a\t10\t5\t4\t5", "b\t2\t20\t2\t3"],
        ["a\t12\t5\t12\t13"],  # ends of lines taken for letters
        ["a\t10\t5\t4\t5", "b\t3\t21\t2\t3"],
        ["a\t10\t5\t4\t5", "b\t30\t21\t30\t31"],
        ["a\t10\t5\t4\t5", "", "b\t2\t21\t2\t3"],
        ["a\t10\t5\t4\t5", "b\t2\t21\t2\t3", "c\t0\t35\t0\t0"],
    ],
)
def test_a_wrong_index_is_refused(tmp_path, lines):
    (tmp_path / "a.fa").write_text(TWO)
    (tmp_path / "a.fa.fai").write_text("\n".join([*lines, ""]))
    with pytest.raises(sl.InputError, match=r"a\.fa.*delete it"):
        load_fasta_index(tmp_path / "a.fa")


def test_an_unusual_index_is_used(tmp_path):
    (tmp_path / "a.fa").write_text(TWO)
    for text in ("a\t10\t5\t4\t5\nb\t2\t21\t2\t3\n", "\ufeffb\t2\t21\t2\t2\r\na\t10\t5\t4\t5", "a\t10\t5\t4\t5\n"):
        (tmp_path / "a.fa.fai").write_text(text, newline="")
        index = load_fasta_index(tmp_path / "a.fa")
        assert sorted(zip(index.names, index.size.tolist(), strict=True)) in ([("a", 10), ("b", 2)], [("a", 10)])


@given(
    records=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), min_size=1, max_size=4),
    line=st.integers(1, 5),
    newline=st.sampled_from(["\n", "\r\n"]),
    changes=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(-3, 3)), max_size=2),
)
def test_whatever_an_index_says_only_the_letters_are_read(tmp_path_factory, records, line, newline, changes):
    """A changed index is refused, or says the same of every record."""
    folder = tmp_path_factory.mktemp("any")
    parts = {f"r{i}": ("ACGT" * 3)[i : i + size] for i, (size, _) in enumerate(records)}
    text = "".join(
        newline.join([f">{name}", *(letters[i : i + line] for i in range(0, len(letters), line)), *[""] * (1 + blank)])
        for (name, letters), (_, blank) in zip(parts.items(), records, strict=True)
    )
    (folder / "a.fa").write_text(text, newline="")
    load_fasta_index(folder / "a.fa")
    rows = [row.split("\t") for row in (folder / "a.fa.fai").read_text().splitlines()]
    for row, column, by in changes:
        if row < len(rows):
            rows[row][1 + column] = str(int(rows[row][1 + column]) + by)
    (folder / "a.fa.fai").write_text("".join("\t".join(row) + "\n" for row in rows))
    try:
        index = load_fasta_index(folder / "a.fa")
    except sl.InputError:
        assert any(by for *_, by in changes)
        return
    for name, size, offset, bases, width in zip(*index, strict=True):
        assert "".join(text[offset + i // bases * width + i % bases] for i in range(size)) == parts[name]


def test_folders_that_cannot_be_written_to(fasta, genome, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "no")

    monkeypatch.setattr("seqlight.formats.fai.atomic_write", refuse)
    assert load_fasta_index(fasta).names == tuple(genome)
    assert [one.name for one in fasta.parent.iterdir()] == ["toy.fa"]


def test_several_processes_at_once(fasta, genome):
    code = "import sys; from seqlight.formats.fai import load_fasta_index; print(*load_fasta_index(sys.argv[1]).names)"
    runs = [
        subprocess.Popen([sys.executable, "-c", code, str(fasta)], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    assert [run.communicate(timeout=120)[0].split() for run in runs] == [list(genome)] * 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x1f\x8b\x08\x00rest", r"is compressed: .* `gunzip -k a.fa`"),
        (b"", "does not begin with '>'"),
        (b"ACGT\n", "does not begin with '>'"),
        (b">a\nACGT\nAC\nACGT\n", "cannot be indexed: 'a' has lines of different lengths"),
        (b">b\nA\n>a\nACGT\n>a\nACGT\n", "two sequences of the FASTA file are named 'a'"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, content, message):
    (tmp_path / "a.fa").write_bytes(content)
    with pytest.raises(sl.InputError, match=message):
        load_fasta_index(tmp_path / "a.fa")
    assert [one.name for one in tmp_path.iterdir()] in (["a.fa"], ["a.fa", "a.fa.fai"])


def test_names_that_are_not_looked_up(tmp_path):
    """An index of samtools may hold a name twice."""
    (tmp_path / "a.fa").write_text(">a\nACGT\n>a\nACGT\n")
    (tmp_path / "a.fa.fai").write_text("a\t4\t3\t4\t5\na\t4\t11\t4\t5\n")
    with pytest.raises(sl.InputError, match="two sequences of the FASTA file are named 'a'"):
        load_fasta_index(tmp_path / "a.fa")


def test_no_file(tmp_path):
    with pytest.raises(sl.InputError, match="there is no file"):
        load_fasta_index(tmp_path / "a.fa")


@pytest.mark.parametrize("text", [">a\n>b\nACGT\n", ">a\n\n>b\nACGT", ">b\nACGT\n\n>a\n", ">b\nACGT\n\n\n"])
def test_empty_records_and_lines(tmp_path, text):
    (tmp_path / "a.fa").write_text(text)
    index = load_fasta_index(tmp_path / "a.fa")
    (size, offset) = (field[index.names.index("b")] for field in (index.size, index.offset))
    assert text[offset : offset + size] == "ACGT"


@pytest.mark.reliability(
    "FASTA files", "a file compressed by gzip, whatever its name", "an error with the command that unpacks it"
)
@pytest.mark.parametrize("name", ["a.fa.gz", "a b.fa.bgz", "a.fa"])
def test_the_command_that_is_named_unpacks(tmp_path, name):
    packed = gzip.compress(b">a\nACGT\n")
    (tmp_path / name).write_bytes(packed)
    with pytest.raises(sl.InputError, match="is compressed") as raised:
        load_fasta_index(tmp_path / name)
    for command in re.findall("`(.+?)`", str(raised.value)):
        subprocess.run(command, shell=True, cwd=tmp_path, check=True)
    assert load_fasta_index(tmp_path / f"{name.partition('.')[0]}.fa").names == ("a",)
