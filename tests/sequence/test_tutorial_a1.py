"""Every printed result of tutorial A1, character for character."""

import pytest

import seqlight as sl
from seqlight import characters

AP1 = "TGACTCA"


@pytest.fixture
def X():
    return sl.random_one_hot((1, 4, 20), random_state=0)


def spelled(shuffles):
    return [characters(one) for one in shuffles[0]]


def test_random_one_hot(X):
    assert characters(X[0]) == "ATCATTTTCTCGATGAAAGC"


def test_substitute(X):
    assert characters(sl.substitute(X, AP1)[0]) == "ATCATTTTGACTCAGAAAGC"
    assert characters(sl.substitute(X, AP1, start=2)[0]) == "ATTGACTCATCGATGAAAGC"
    motif = sl.one_hot_encode(AP1).unsqueeze(0)
    assert characters(sl.substitute(X, motif)[0]) == "ATCATTTTGACTCAGAAAGC"


def test_multisubstitute(X):
    assert characters(sl.multisubstitute(X, [AP1, AP1], 0, start=2)[0]) == "ATTGACTCATGACTCAAAGC"
    assert characters(sl.multisubstitute(X, [AP1, AP1], 2, start=2)[0]) == "ATTGACTCATCTGACTCAGC"
    four = sl.multisubstitute(X, ["TGA", "TCA", "TGA", "TGAC"], [0, 2, 1], start=2)
    assert characters(four[0]) == "ATTGATCACTTGATTGACGC"


def test_insert(X):
    longer = sl.insert(X, AP1)
    assert characters(longer[0]) == "ATCATTTTCTTGACTCACGATGAAAGC"
    assert (X.shape[-1], len(AP1), len(characters(longer[0]))) == (20, 7, 27)


def test_delete(X):
    assert characters(sl.delete(X, start=0, end=5)[0]) == "TTTCTCGATGAAAGC"
    shorter = sl.delete(X, start=10, end=15)
    assert characters(shorter[0]) == "ATCATTTTCTAAAGC"
    assert (X.shape[-1], shorter.shape[-1]) == (20, 15)


def test_randomize(X):
    assert characters(sl.randomize(X, start=0, end=5, random_state=0)[0, 0]) == "GGGGCTTTCTCGATGAAAGC"
    assert spelled(sl.randomize(X, start=0, end=5, n=10, random_state=0)) == [
        "GGGGCTTTCTCGATGAAAGC",
        "GCTTCTTTCTCGATGAAAGC",
        "TGGTATTTCTCGATGAAAGC",
        "AATTTTTTCTCGATGAAAGC",
        "TTCTATTTCTCGATGAAAGC",
        "GATGCTTTCTCGATGAAAGC",
        "CTCGATTTCTCGATGAAAGC",
        "GGGTGTTTCTCGATGAAAGC",
        "CCGAGTTTCTCGATGAAAGC",
        "GAACCTTTCTCGATGAAAGC",
    ]


def test_shuffle(X):
    assert characters(sl.shuffle(X, random_state=0)[0, 0]) == "GTCCCATTTCTGTTAGAAAA"
    assert spelled(sl.shuffle(X, n=10, random_state=0)) == [
        "GTCCCATTTCTGTTAGAAAA",
        "GTGACACACAATACTTTGTT",
        "ATATGCCTAATCAGTTATGC",
        "GATCAATAGAGCTATCCTTT",
        "TTCCTGCAAATTGTCTAAGA",
        "ATCCATTCGGGACTTTATAA",
        "GGTTTACTAACGCCAATTAT",
        "TGTAAGTACCCTATTCTGAA",
        "TTTTTATACAGCAGAGACTC",
        "CAAACTTTCGCTTAGTATAG",
    ]
    assert characters(sl.shuffle(X, start=5, end=15, random_state=3)[0, 0]) == "ATCATCTTTGGATCTAAAGC"


def test_dinucleotide_shuffle(X):
    assert characters(sl.dinucleotide_shuffle(X, random_state=0)[0, 0]) == "ATCATTTCTCGATTGAAAGC"
    assert spelled(sl.dinucleotide_shuffle(X, n=10, random_state=0)) == [
        "ATCATTTCTCGATTGAAAGC",
        "ATCTCAAATTTTCGATGAGC",
        "ATTTTCTCAATCGAATGAGC",
        "AAATTTTCTCATCGATGAGC",
        "ATCTTCATCGATTTGAAAGC",
        "ATCAATTCTTTCGAATGAGC",
        "AATTCTCAATTCGATTGAGC",
        "AAATCTCATTTCGATTGAGC",
        "ATCATTTCTTCGAAATGAGC",
        "ATCTTTCAATTCGAATGAGC",
    ]
    some = sl.dinucleotide_shuffle(X, start=5, end=15, random_state=3)
    assert characters(some[0, 0]) == "ATCATTCTTTCGATGAAAGC"


def test_a_region_that_cannot_be_shuffled_warns_and_raises(X):
    with (
        pytest.warns(sl.ShuffleWarning, match="At least one position in dinucleotide shuffle is identical"),
        pytest.raises(ValueError, match="All dinucleotide shuffles yield identical sequences, potentially due to"),
    ):
        sl.dinucleotide_shuffle(X, start=10, end=15, random_state=0, n=100, verbose=True)


def test_reverse_complement():
    assert sl.reverse_complement("ATCG", ohe=False) == "CGAT"
    motif = sl.one_hot_encode(AP1)
    assert motif.shape == (4, 7)
    other = sl.reverse_complement(motif)
    assert other.shape == (4, 7)
    assert characters(other) == "TGAGTCA"
    assert sl.reverse_complement("ATCGN", ohe=False) == "NCGAT"
    assert characters(sl.reverse_complement(sl.one_hot_encode("TGACTCAN")), allow_N=True) == "NTGAGTCA"
