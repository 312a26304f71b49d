import numpy as np
import pytest

import seqlight as sl
from results_folders import attribution_arrays, write_results
from seqlight.results.row_names import RowNames, write_row_names


def test_the_pair_that_modisco_reads(tmp_path):
    arrays = attribution_arrays()
    sequences, attributions = sl.export(write_results(tmp_path, arrays), "modisco")["modisco"]
    with np.load(sequences) as found:
        assert found.files == ["arr_0"]
        np.testing.assert_array_equal(found["arr_0"], arrays["sequences"])
        assert found["arr_0"].dtype == np.int8
    with np.load(attributions) as found:
        np.testing.assert_array_equal(found["arr_0"], arrays["hypothetical"])
        assert found["arr_0"].dtype == np.float32


def test_modisco_lite_reads_it(tmp_path):
    load = pytest.importorskip("modiscolite.cli")._load_input
    arrays = attribution_arrays()
    sequences, attributions = sl.export(write_results(tmp_path, arrays), "modisco")["modisco"]
    np.testing.assert_array_equal(load(sequences), arrays["sequences"])
    np.testing.assert_array_equal(load(attributions), arrays["hypothetical"])


def test_contributions_of_observed_characters_alone_warn(tmp_path):
    arrays = attribution_arrays()
    results = write_results(tmp_path, arrays | {"hypothetical": arrays["attributions"]})
    with pytest.warns(sl.SeqlightWarning, match="0 for every character that is not there"):
        sl.export(results, "modisco")


def test_numbers_that_modisco_cannot_use(tmp_path):
    arrays = attribution_arrays()
    arrays["hypothetical"][9, 2, 3] = np.nan
    with pytest.raises(sl.InputError, match="hypothetical holds NaN or infinity"):
        sl.export(write_results(tmp_path / "nan", arrays), "modisco")
    assert not list((tmp_path / "nan").rglob("attributions*"))
    other = {name: np.zeros((3, 5, 9), np.float32) for name in ("attributions", "hypothetical", "sequences")}
    with pytest.raises(sl.InputError, match="sequences of 5 letters: TF-MoDISco expects four"):
        sl.export(write_results(tmp_path / "five", other), "modisco")


@pytest.mark.reliability(
    "exports",
    "sequences with their letters in another order than A, C, G and T, for TF-MoDISco",
    "refused, since every motif would be spelled in wrong letters",
)
@pytest.mark.parametrize("letters", ["TGCA", "ACTG"])
def test_letters_in_another_order(tmp_path, letters):
    results = write_results(tmp_path, attribution_arrays())
    with pytest.raises(sl.InputError, match=f"in the letters {letters}: TF-MoDISco takes them for A, C, G and T"):
        sl.export(results, "modisco", alphabet=letters)
    write_row_names(tmp_path, RowNames(("a",) * 11, letters), results.manifest)
    with pytest.raises(sl.InputError, match=f"in the letters {letters}"):
        sl.export(tmp_path, "modisco")
    with pytest.raises(sl.InputError, match=f"in the letters {letters}"):
        sl.consolidate(tmp_path, tmp_path / "for_modisco")
    sl.export(results, "modisco", alphabet="RNA")
