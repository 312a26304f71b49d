import numpy as np
import pytest

import seqlight as sl
from modisco_patterns import write_patterns
from seqlight.motifs.patterns import read_patterns

pytest.importorskip("h5py")


def test_patterns_and_their_sites(tmp_path):
    path = tmp_path / "modisco.h5"
    positive = {"TGACTCA": [(0, 40, False), (3, 20, True)], "GATTACA": [(1, 10, False)]}
    write_patterns(path, {"pos_patterns": positive, "neg_patterns": {"CCCC": [(2, 30, False)]}})
    found = read_patterns(path)
    assert [(one.name, one.sign, len(one.seqlets)) for one in found] == [
        ("pos_patterns.pattern_0", 1, 2),
        ("pos_patterns.pattern_1", 1, 1),
        ("neg_patterns.pattern_0", -1, 1),
    ]
    assert found[0].span() == (5, 12)
    np.testing.assert_allclose(found[0].trimmed(), sl.one_hot_encode("TGACTCA"))
    # Sites are those of the trimmed pattern, on both strands, in the coordinates of whole sequences.
    sites = found[0].sites(first=100)
    assert sites.to_dict("list") == {
        "example_idx": [0, 3],
        "start": [140, 120],
        "end": [147, 127],
        "motif_strand": ["+", "-"],
    }


def test_sites_of_the_other_strand_are_trimmed_from_the_other_side(tmp_path):
    write_patterns(tmp_path / "a.h5", {"pos_patterns": {"TGACTCA": [(0, 40, False), (0, 40, True)]}})
    (found,) = read_patterns(tmp_path / "a.h5")
    found.contributions[:, 4] = 0.25  # one more position, in front
    assert found.span() == (4, 12)
    assert found.sites()["start"].tolist() == [39, 40]
    assert found.sites()["end"].tolist() == [47, 48]


def test_patterns_are_in_the_order_of_their_numbers(tmp_path):
    sites = {f"{'ACGT'[i % 4]}{'ACGT'[i // 4]}GATA": [(0, 9, False)] for i in range(12)}
    write_patterns(tmp_path / "a.h5", {"pos_patterns": sites})
    assert [one.name.rpartition("_")[2] for one in read_patterns(tmp_path / "a.h5")] == [str(i) for i in range(12)]


def test_no_patterns(tmp_path):
    write_patterns(tmp_path / "a.h5", {})
    assert read_patterns(tmp_path / "a.h5") == []


def test_other_files(tmp_path):
    (tmp_path / "a.h5").write_text("no HDF5")
    with pytest.raises(sl.InputError, match=r"a\.h5 cannot be read .*: expected the HDF5 file of `modisco motifs`"):
        read_patterns(tmp_path / "a.h5")
    with pytest.raises(sl.InputError, match="there is no file"):
        read_patterns(tmp_path / "b.h5")
