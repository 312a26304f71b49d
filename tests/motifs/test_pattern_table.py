import numpy as np
import pytest

import seqlight as sl
from modisco_patterns import write_patterns
from seqlight.motifs.pattern_table import consensus, nearest_motif, pattern_table
from seqlight.motifs.patterns import read_patterns


@pytest.fixture
def known():
    rng = np.random.default_rng(0)
    return {"AP-1": sl.one_hot_encode("TGACTCA").double().numpy()} | {
        f"m{i}": rng.dirichlet([0.2] * 4, size=9).T for i in range(30)
    }


def test_a_line_for_each_motif(tmp_path, known):
    pytest.importorskip("h5py")
    write_patterns(
        tmp_path / "a.h5",
        {"pos_patterns": {"TGACTCA": [(0, 40, False), (3, 20, True)]}, "neg_patterns": {"CCGG": [(2, 30, False)]}},
    )
    table = pattern_table(read_patterns(tmp_path / "a.h5"), known)
    assert table[["motif", "sign", "seqlets", "consensus", "mean_contribution"]].to_numpy().tolist() == [
        ["pos_patterns.pattern_0", "positive", 2, "TGACTCA", 7.0],
        ["neg_patterns.pattern_0", "negative", 1, "CCGG", -4.0],
    ]
    assert table["known"][0] == "AP-1"
    assert table["known_q-value"][0] < 0.01


def test_no_motifs_are_an_empty_table(known):
    assert list(pattern_table([])) == ["motif", "sign", "seqlets", "consensus", "mean_contribution"]
    assert list(pattern_table([], known))[5:] == ["known", "known_p-value", "known_q-value", "known_strand"]


def test_the_nearest_motif_is_that_of_a_sequence_that_spells_it(known):
    """A motif of single letters is compared as its sequence is."""
    from seqlight.motifs.known_motifs import annotate_texts

    for text in ("TGACTCA", "TGAGTCA", "ACGT"):
        found, alone = nearest_motif(sl.one_hot_encode(text).double().numpy(), known), annotate_texts([text], known)
        assert found["known"] == alone["motif"][0]
        assert found["known_p-value"] == pytest.approx(alone["motif_p-value"][0])
        assert found["known_q-value"] == pytest.approx(alone["motif_q-value"][0])
        assert found["known_strand"] == alone["motif_strand"][0]


def test_motifs_against_memelite(known):
    """Memelite approximates, so its p-values are compared by their ranks and their size."""
    tomtom = pytest.importorskip("memelite").tomtom
    motif = 0.7 * known["m3"] + 0.3 * np.random.default_rng(1).dirichlet([1] * 4, size=9).T
    theirs = tomtom([motif], list(known.values()))[0][0]
    found = nearest_motif(motif, known)
    assert found["known"] == list(known)[int(np.argmin(theirs))] == "m3"
    assert abs(np.log10(found["known_p-value"]) - np.log10(theirs.min())) < 1


@pytest.mark.parametrize(
    ("columns", "spelled"),
    [
        ([[1, 0, 0, 0], [0, 0, 0, 1]], "AT"),
        ([[0.5, 0.5, 0, 0], [0, 0.4, 0.4, 0.2], [0.25, 0.25, 0.25, 0.25]], "MSN"),
        ([[0.6, 0.3, 0.1, 0], [0.6, 0.35, 0.05, 0], [0.6, 0.2, 0.1, 0.1]], "AMA"),
    ],
)
def test_consensus(columns, spelled):
    assert consensus(np.array(columns, dtype=float).T) == spelled
