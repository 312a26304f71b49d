import numpy as np
import pytest

import seqlight as sl
from seqlight.formats.meme_reader import read_meme
from seqlight.formats.meme_writer import write_meme


@pytest.fixture
def motifs():
    rng = np.random.RandomState(0)
    return {f"MA{i} name{i}": rng.dirichlet([0.5] * 4, size=5 + i).T for i in range(4)}


def test_motifs_are_read_back(motifs, tmp_path):
    write_meme(tmp_path / "a.meme", motifs)
    theirs = pytest.importorskip("memelite.io").read_meme(str(tmp_path / "a.meme"))
    for found in (read_meme(tmp_path / "a.meme"), theirs):
        assert list(found) == list(motifs)
        for name, motif in motifs.items():
            np.testing.assert_array_equal(found[name], motif)


def test_biopython_reads_them_too(motifs, tmp_path):
    reader = pytest.importorskip("Bio.motifs")
    write_meme(tmp_path / "a.meme", motifs, n_sites=10**6)
    with (tmp_path / "a.meme").open() as file:
        records = reader.parse(file, "minimal")
    assert [record.length for record in records] == [motif.shape[1] for motif in motifs.values()]
    read = np.array([records[0].pwm[letter] for letter in "ACGT"])
    np.testing.assert_allclose(read, next(iter(motifs.values())), atol=5e-6)


def test_one_hot_sequences_are_motifs(tmp_path):
    write_meme(tmp_path / "a.meme", {"GATA": sl.one_hot_encode("GATA")})
    assert read_meme(tmp_path / "a.meme")["GATA"].argmax(axis=0).tolist() == [2, 0, 3, 0]


@pytest.mark.parametrize(
    ("motifs", "message"),
    [
        ({"a": np.eye(3)}, "has 3 letters"),
        ({"a": np.ones((4, 2))}, "does not sum to one"),
        ({"a\nb": np.full((4, 2), 0.25)}, "would not be read back"),
        ({" a": np.full((4, 2), 0.25)}, "would not be read back"),
        ({}, "holds no motif"),
        ([np.full((4, 2), 0.25)], "motifs is a list"),
    ],
)
def test_bad_motifs(motifs, message, tmp_path):
    with pytest.raises(sl.InputError, match=message):
        write_meme(tmp_path / "a.meme", motifs)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a width = 3 sites = 4", "a\0b", "a\udc80", "\ufeffa", "a\u200bb"])
def test_names_that_would_be_read_otherwise(name, tmp_path):
    with pytest.raises(sl.InputError, match="would not be read back"):
        write_meme(tmp_path / "a.meme", {name: np.eye(4)})
