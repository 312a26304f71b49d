import numpy as np
import pandas as pd
import pytest
import torch

from seqlight.errors import InputError
from seqlight.formats.motifs import as_motifs, jaspar_motifs, read_meme

MEME = """MEME version 4

ALPHABET= ACGT

MOTIF MA0001.1\tfirst
letter-probability matrix: alength= 4 w= 2 nsites= 20 E= 0
0.25 0.25 0.25 0.25
1 0 0 0

MOTIF second
letter-probability matrix: alength= 4 w= 1
0 0 0 1
"""


def test_a_meme_file_is_read(tmp_path):
    path = tmp_path / "two.meme"
    path.write_text(MEME)
    for found in (read_meme(path), as_motifs(path), as_motifs(str(path))):
        assert list(found) == ["MA0001.1 first", "second"]
        assert found["MA0001.1 first"].tolist() == [[0.25, 1], [0.25, 0], [0.25, 0], [0.25, 0]]
        assert found["second"].tolist() == [[0], [0], [0], [1]]
    path.write_text("nothing\n")
    with pytest.raises(InputError, match="holds no motif"):
        read_meme(path)


def test_motifs_of_jaspar_are_frequencies():
    pytest.importorskip("pyjaspar")
    found = jaspar_motifs(release="JASPAR2024", tf_name="CTCF", tax_group=["vertebrates"])
    assert all(name.endswith(" CTCF") for name in found)
    motif = found["MA0139.2 CTCF"]
    np.testing.assert_allclose(motif.sum(axis=0), 1)
    assert "CCA" in "".join("ACGT"[i] for i in motif.argmax(axis=0))
    with pytest.raises(InputError, match="no motif of JASPAR2024"):
        jaspar_motifs(tf_name="nobody")
    with pytest.raises(InputError, match=r"expected one of .*JASPAR2024"):
        jaspar_motifs(release="JASPAR1066")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({}, "holds no motif"),
        ([np.eye(4)], "holds no motif"),
        ({"a": np.ones(4)}, "motif 'a' has shape"),
        ({"a": np.ones((4, 0))}, "motif 'a' has shape"),
        ({"a": -np.ones((4, 2))}, "numbers below 0"),
        ({"a": np.full((4, 2), np.nan)}, "holds NaN"),
        ({"a": np.eye(4) * 0.9}, "motif 'a' has a position that does not sum to one, but to 0.9"),
        ({"a": np.eye(4) * [20, 20, 20, 21]}, "motif 'a' .* expected frequencies .or counts"),
        ({"a": np.zeros((4, 2))}, "does not sum to one, but to 0"),
        ({"a": np.full((4, 2), 1e308)}, "does not sum to one, but to inf"),
        ({"a": [[0.9, 0.1, 0, 0], [0.6, 0.2, 0.1, 0.1]]}, "sum to one, but to 1.5: .*; transposed it would be right"),
        ({"a": np.ma.masked_array(np.eye(4), np.eye(4) == 1)}, "motif 'a' is a masked array with masked entries"),
        ({"a": "GATA"}, "motif 'a' is a str that is no array of numbers"),
        ({"a": "GATA"}, r"; a site is written as one_hot_encode\('GATA'\)\."),
        ({"a": [[1, 0], [0]]}, "motif 'a' is a list that is no array of numbers"),
        ({"a": np.eye(4) * 1j}, "motif 'a' is an ndarray that is no array of numbers"),
        ({"1": np.eye(4), 1: np.eye(4)}, "two motifs are named '1'"),
    ],
)
def test_bad_motifs(source, message):
    with pytest.raises(InputError, match=message):
        as_motifs(source)


COUNTS = np.array([[9.0, 0], [0, 3], [0, 9], [3, 0]])


@pytest.mark.reliability(
    "motifs of other people", "counts as arrays, integers, tensors or in half precision", "frequencies"
)
@pytest.mark.parametrize(
    "counts",
    [
        COUNTS,
        COUNTS.astype(np.int32),
        COUNTS.tolist(),
        torch.tensor(COUNTS, requires_grad=True),
        torch.tensor(COUNTS, dtype=torch.bfloat16),
        pd.DataFrame(COUNTS),
        pd.DataFrame(COUNTS, index=list("ACGT")).loc[list("TGCA")],
        pd.DataFrame(COUNTS, index=list("ACGT")).T,
        {letter: COUNTS["ACGT".index(letter)].tolist() for letter in "GTAC"},
    ],
)
def test_counts_become_frequencies(counts):
    np.testing.assert_array_equal(as_motifs({"a": counts})["a"], COUNTS / 12)


def test_frequencies_stay_as_they_are():
    means = np.random.RandomState(0).dirichlet(np.ones(4), size=7).T.astype(np.float32)
    np.testing.assert_array_equal(as_motifs({"a": means})["a"], means.astype(np.float64))
    np.testing.assert_array_equal(as_motifs({"a": means.round(3)})["a"], means.round(3).astype(np.float64))


@pytest.mark.reliability(
    "motifs of other people", "motifs of pyjaspar and Biopython, one by one or as fetched", "frequencies"
)
def test_motifs_of_biopython():
    database = pytest.importorskip("pyjaspar").jaspardb(release="JASPAR2024")
    fetched = database.fetch_motifs(collection="CORE", tf_name=["CTCF", "Arnt"])
    database.conn.close()
    wanted = {**jaspar_motifs(tf_name="CTCF"), **jaspar_motifs(tf_name="Arnt")}
    found = as_motifs(fetched)
    assert set(found) == set(wanted)
    assert as_motifs({"a": fetched[0]})["a"].tolist() == next(iter(found.values())).tolist()
    for name, motif in wanted.items():
        np.testing.assert_array_equal(found[name], motif)


def test_thirds_of_two_digits_are_frequencies():
    motif = np.array([[0.33], [0.33], [0.33], [0.0]])
    assert as_motifs({"third": motif})["third"].tolist() == motif.tolist()
