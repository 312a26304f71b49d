import pickle

import numpy as np
import pandas as pd
import pytest
import torch

import seqlight as sl
from seqlight.reading import FastaDataset


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
