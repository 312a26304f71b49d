import os
import pickle

import pytest

import seqlight as sl
from seqlight.files.stamp import FileStamp


@pytest.fixture
def file(tmp_path):
    (tmp_path / "a.fa").write_text(">a\nTGACTCA\n")
    return tmp_path / "a.fa"


def test_an_unchanged_file(file):
    stamp = FileStamp.from_path(file)
    file.read_bytes()
    stamp.require_unchanged()
    pickle.loads(pickle.dumps(stamp)).require_unchanged()
    FileStamp.from_path(str(file)).require_unchanged()


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
    "an error that names it, before more is read",
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
    stamp = FileStamp.from_path(file)
    change(file)
    with pytest.raises(error, match=rf"a\.fa has changed since it was opened \({how}\)"):
        stamp.require_unchanged(error)


FILES = """
import os, sys
from pathlib import Path

import numpy as np

import seqlight as sl
from seqlight.datasets import ArrayDataset, FastaDataset, Genome, GenomeDataset

folder = Path(sys.argv[1])
large = "".join(f">chr{i}\\n{'TGAC' * 5000}\\n" for i in range(3))
for name in ("a.fa", "b.fa", "c.fa"):
    (folder / name).write_text(large)
X = np.ones((20, 4, 5000), np.int8)
np.save(folder / "a.npy", X), np.savez(folder / "a.npz", X=X), np.save(folder / "b.npy", X)
loci = sl.Loci(*(np.array([one]) for one in ("chr2", 100, 200, "+")))
genome = Genome(folder / "a.fa")
genome.cut(loci)
made = {
    "a.fa": lambda: genome.cut(loci),
    "b.fa": lambda data=FastaDataset(folder / "b.fa"): data.batch([2]),
    "c.fa": lambda data=GenomeDataset(folder / "c.fa", loci): data.batch([0]),
    "a.npy": lambda data=ArrayDataset(folder / "a.npy"): data.batch([19]),
    "a.npz": lambda data=ArrayDataset(folder / "a.npz"): data.fingerprint(),
    "b.npy": lambda data=ArrayDataset(np.load(folder / "b.npy", mmap_mode="r")): data[19],
}
for name, read in made.items():
    read()
    os.truncate(folder / name, 10)
    try:
        read()
    except sl.InputError as error:
        print(f"{name} has changed since it was opened" in str(error))

(folder / "d.fa").write_text(">chr1\\n" + "A" * 48 + "\\nA")
(folder / "d.fa.fai").write_text("chr1\\t10000000001\\t6\\t10000000000\\t49\\n")
try:
    Genome(folder / "d.fa").cut(sl.Loci(*(np.array([one]) for one in ("chr1", 10**10 - 50, 10**10, "+"))))
except sl.InputError as error:
    print("d.fa.fai is not the index of" in str(error))
"""


@pytest.mark.reliability(
    "files that are read in place",
    "a mapped FASTA, npy or npz file is shortened while a dataset reads it",
    "an error that names it, not the end of the process",
)
@pytest.mark.reliability(
    "FASTA indexes",
    "a .fai with sequences far behind the file's end",
    "an error, not the end of the process",
)
def test_no_file_ends_the_process(tmp_path, python):
    done = python("-c", FILES, tmp_path)
    assert done.stdout.split() == ["True"] * 7
