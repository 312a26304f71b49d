import pickle

import numpy as np
import pandas as pd
import pytest
import torch

import seqlight as sl
from seqlight.datasets import FastaDataset


@pytest.fixture
def X():
    X = sl.random_one_hot((6, 4, 40), random_state=3)
    X[2, :, 5:9] = 0
    return X


def test_writing_and_reading_gives_the_same(X, tmp_path):
    loci = pd.DataFrame({"chrom": ["chr1", "a:b"] * 3, "start": range(-1, 5), "end": range(39, 45)})
    loci["strand"] = list("+-+-+-")
    sl.write_fasta(tmp_path / "a.fa", X, loci=loci, line=17)
    dataset = FastaDataset(tmp_path / "a.fa")
    assert torch.equal(dataset.batch(range(6)), X)
    assert dataset.names[0] == "chr1:-1-39(+)"
    for name, field in zip(("chrom", "start", "end", "strand"), dataset.loci, strict=True):
        assert field.tolist() == loci[name].tolist()
    sl.write_fasta(tmp_path / "b.fa", dataset.batch(range(6)), loci=dataset.loci, line=17)
    assert (tmp_path / "b.fa").read_bytes() == (tmp_path / "a.fa").read_bytes()
    assert FastaDataset(tmp_path / "b.fa").fingerprint() == dataset.fingerprint()
    assert torch.equal(pickle.loads(pickle.dumps(dataset)).batch([4, 2]), X[[4, 2]])


def test_names_that_are_no_loci(X, tmp_path):
    sl.write_fasta(tmp_path / "a.fa", X, names=["chr1:0-40(+)", *"abcde"])
    assert FastaDataset(tmp_path / "a.fa").loci is None


def test_labels(X, tmp_path):
    sl.write_fasta(tmp_path / "a.fa", X)
    np.save(tmp_path / "y.npy", np.arange(6.0))
    for y in (tmp_path / "y.npy", np.arange(6.0), torch.arange(6.0).double()):
        dataset = FastaDataset(tmp_path / "a.fa", y=y)
        found = dataset[4]
        assert torch.equal(found[0], X[4])
        assert found[1] == 4
    assert FastaDataset(tmp_path / "a.fa", y=torch.ones(6)).fingerprint() != dataset.fingerprint()
    assert FastaDataset(tmp_path / "a.fa").fingerprint() != dataset.fingerprint()
    with pytest.raises(sl.InputError, match="y has 5 rows for 6 records"):
        FastaDataset(tmp_path / "a.fa", y=torch.ones(5))


def test_records_of_different_lengths(tmp_path):
    (tmp_path / "a.fa").write_text(">a\nTGAC\n>b\nTGNCA\n")
    with pytest.raises(sl.InputError, match="have 4 to 5 positions: expected one length; give `length`, such as 5"):
        FastaDataset(tmp_path / "a.fa")
    with pytest.raises(sl.InputError, match="the record 'b' has 5 positions: expected at most 4"):
        FastaDataset(tmp_path / "a.fa", length=4)
    assert sl.characters(FastaDataset(tmp_path / "a.fa", length=7).batch([0, 1]), allow_N=True) == [
        "TGACNNN",
        "TGNCANN",
    ]


def named(path, *records):
    path.write_text("".join(f">{name}\n{'TGAC' * 10}\n"[: len(name) + 2 + n] + "\n" for name, n in records))
    return FastaDataset(path, length=40).loci


@pytest.mark.reliability(
    "names of FASTA records",
    "what bedtools getfasta writes with -name, -name+, -s; chromosomes with colons, numbers with commas",
    "the loci are those of the regions",
)
@pytest.mark.parametrize(
    ("name", "chrom", "start", "strand"),
    [
        ("chr1:100-110(-)", "chr1", 100, "-"),
        ("chr1:100-110", "chr1", 100, "+"),
        ("peak1::chr1:100-110(+)", "chr1", 100, "+"),
        ("peak1::chr1:100-110(-)", "chr1", 100, "-"),
        ("peak1::chr1:100-110", "chr1", 100, "+"),
        ("a::b:c::chr1:100-110(.)", "chr1", 100, "."),
        (".::chr1:0-10(+)", "chr1", 0, "+"),
        ("::chr1:0-10", "chr1", 0, "+"),
        ("p::HLA-A*01:01:01:01:100-110(-)", "HLA-A*01:01:01:01", 100, "-"),
        ("HLA:HLA00001:100-110", "HLA:HLA00001", 100, "+"),
        ("chr1:1,000,100-1,000,110(+)", "chr1", 1_000_100, "+"),
        ("chr1:-3-7(-)", "chr1", -3, "-"),
    ],
)
def test_loci_in_names_of_bedtools(tmp_path, name, chrom, start, strand):
    loci = named(tmp_path / "a.fa", (name, 10))
    assert [one.tolist() for one in loci] == [[chrom], [start], [start + 10], [strand]]
    seqlets = pd.DataFrame({"example_idx": [0], "start": [2], "end": [5], "attribution": [1.0]})
    found = sl.to_genome(seqlets, loci)
    first = start + 5 if strand == "-" else start + 2
    assert found["chrom"].tolist() == [chrom]
    assert found["genome_start"].tolist() == [first]
    sl.write_bed(tmp_path / "a.bed", found.assign(genome_start=first + 10, genome_end=first + 13))
    assert (tmp_path / "a.bed").read_text().split("\t")[:2] == [chrom, str(first + 10)]


@pytest.mark.reliability(
    "names of FASTA records",
    "what samtools faidx writes, which counts from 1",
    "recognised by the length of the record",
)
@pytest.mark.parametrize(
    ("name", "chrom", "start", "strand"),
    [
        ("chr1:100-110", "chr1", 99, "+"),
        ("chr1:1-11", "chr1", 0, "+"),
        ("chr1:1,000-1,010", "chr1", 999, "+"),
        ("chr1:100-110/rc", "chr1", 99, "-"),
        ("HLA:HLA00001:100-110", "HLA:HLA00001", 99, "+"),
    ],
)
def test_loci_in_names_of_samtools(tmp_path, name, chrom, start, strand):
    loci = named(tmp_path / "a.fa", (name, 11))
    assert [one.tolist() for one in loci] == [[chrom], [start], [start + 11], [strand]]


@pytest.mark.reliability(
    "names of FASTA records",
    "a length that disagrees with the name, names of genes, both ways of counting in one file",
    "no loci, rather than wrong ones",
)
@pytest.mark.parametrize(
    "records",
    [
        [("peak1::chr1:100-110(+)", 11)],
        [("chr1:100-110(+)", 11)],
        [("chr1:100-110(-)", 9)],
        [("chr1:100-110", 12)],
        [("chr1:0-10", 11)],
        [("chr1:100-110/rc", 10)],
        [("chr1:100-110", 10), ("chr1:200-210", 11)],
        [("chr1:100-110", 10), ("peak2", 10)],
        [("peak1(+)", 10)],
        [("chr1", 10)],
        [(":100-110", 10)],
        [("chr1:1,0-2,0", 10)],
        [("chr1:110-100", 10)],
        [("chr1:100-100(+)", 0), ("chr1:100-110(+)", 10)],
        [("chr1:99999999999999999990-100000000000000000000", 10)],
    ],
)
def test_names_that_only_resemble_loci(tmp_path, records):
    assert named(tmp_path / "a.fa", *records) is None


@pytest.mark.reliability("FASTA indexes", "a .fai that was sorted, or is cut off", "rows in the file's order")
@pytest.mark.parametrize("lines", [[2, 0, 1], [0, 1], [1], [0, 2], [0, 1, 2]])
def test_rows_are_those_of_the_file_whatever_its_index(tmp_path, lines):
    (tmp_path / "a.fa").write_text(">a\nACGT\n>b\nTTTT\n\n>c\nGGGG\n\n")
    kept = tmp_path / "a.fa.fai"
    text = "".join(["a\t4\t3\t4\t5\n", "b\t4\t11\t4\t5\n", "c\t4\t20\t4\t5\n"][i] for i in lines)
    kept.write_text(text)
    dataset = FastaDataset(tmp_path / "a.fa", y=np.arange(3))
    assert dataset.names == ("a", "b", "c")
    X, y = dataset.batch(range(3))
    assert sl.characters(X) == ["ACGT", "TTTT", "GGGG"]
    assert y.tolist() == [0, 1, 2]
    assert kept.read_text() == text
