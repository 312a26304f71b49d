import numpy as np
import pytest

import seqlight as sl
from seqlight.sequence.chromosomes import (
    chromosome_name,
    chromosome_names,
    likely_name,
    other_spelling,
    respelled_names,
)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("chr1", "chr1"),
        (np.str_("chr1"), "chr1"),
        (1, "1"),
        (np.int64(22), "22"),
        (np.uint8(3), "3"),
        (1.0, "1"),
        (np.float32(7), "7"),
        (b"chr1", "chr1"),
        (np.bytes_(b"X"), "X"),
        ("", None),
        (b"", None),
        (None, None),
        (True, None),
        (np.bool_(True), None),
        (-1, None),
        (1.5, None),
        (float("nan"), None),
        (float("inf"), None),
        (["chr1"], None),
        (1 + 0j, None),
    ],
)
def test_names(value, name):
    found = chromosome_name(value)
    assert found == name
    assert type(found) in (str, type(None))


@pytest.mark.parametrize(
    ("name", "known", "likely"),
    [
        ("chr1", ["1", "2"], "1"),
        ("1", ["chr10", "chr1"], "chr1"),
        ("chrM", ["MT"], "MT"),
        ("M", ["MT"], "MT"),
        ("mt", ["chrM"], "chrM"),
        ("Chr1", ["1"], "1"),
        ("CHR1", ["chr1"], "chr1"),
        ("x", ["chrX"], "chrX"),
        (" chr1", ["chr1"], "chr1"),
        ("chr01", ["chr1"], "chr1"),
        ("1.0", ["1", "2"], "1"),
        ("chromosome 2", ["chr2"], "chr2"),
        ("chr0", ["chr1"], None),
        ("chr3", ["chr1", "chr2", "chr33"], None),
        ("", ["chr1"], None),
    ],
)
def test_likely_names(name, known, likely):
    assert likely_name(name, known) == likely
    assert respelled_names([*known, name], known) == ([name] if likely else [])
    assert respelled_names(known, known) == []


def test_lists_of_names():
    assert chromosome_names((1, "X", np.int32(2)), "chroms") == ["1", "X", "2"]
    assert chromosome_names(np.arange(1, 3), "chroms") == ["1", "2"]
    for values, message in (
        ("chr1", r"chroms is the string 'chr1': expected a list of names, such as \['chr1'\]"),
        (1, "chroms is an int: expected a list of names"),
        (["chr1", None], "chroms has None in it"),
        ([b"chr1", ["chr2"]], r"chroms has \['chr2'\] in it, a list"),
    ):
        with pytest.raises(sl.InputError, match=message):
            chromosome_names(values, "chroms")
    assert other_spelling("1") == "chr1"
