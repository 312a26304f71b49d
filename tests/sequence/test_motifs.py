import numpy as np
import pytest

from seqlight.errors import InputError
from seqlight.sequence.motifs import as_motifs, jaspar_motifs, read_meme

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
    pytest.importorskip("memelite")
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
    ],
)
def test_bad_motifs(source, message):
    with pytest.raises(InputError, match=message):
        as_motifs(source)
