import warnings

import numpy as np
import pandas as pd
import pytest

import seqlight as sl
from results_folders import attribution_arrays, loci_of, run_predictions, write_results


def test_predictions(tmp_path):
    results = run_predictions(tmp_path)
    table = pd.read_csv(sl.export(results, "tsv")["tsv"][0], sep="\t")
    assert list(table) == ["row", "predictions_0", "predictions_1", "predictions_2"]
    np.testing.assert_allclose(table.iloc[:, 1:], results["predictions"].numpy(), rtol=1e-6)


def test_attributions_are_summed_up(tmp_path):
    arrays, loci = attribution_arrays(9), loci_of(9)
    arrays["deltas"][3, 2] = np.nan
    arrays["reference_outputs"][3, 2] = np.nan
    table = pd.read_csv(sl.export(write_results(tmp_path, arrays, loci), "tsv")["tsv"][0], sep="\t")
    assert list(table["row"]) == list(range(9))
    assert list(table["chrom"] + table["strand"]) == [f"chr1{one}" for one in loci.strand]
    np.testing.assert_array_equal(table["start"], loci.start)
    np.testing.assert_allclose(table["output"], arrays["outputs"], rtol=1e-6)
    np.testing.assert_allclose(table["reference_output"], np.nanmean(arrays["reference_outputs"], -1), rtol=1e-5)
    np.testing.assert_allclose(table["attribution_sum"], arrays["attributions"].sum((1, 2)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(table["largest_delta"], np.nanmax(np.abs(arrays["deltas"]), -1), rtol=1e-5)


def test_several_targets_have_columns_of_their_own(tmp_path):
    arrays = attribution_arrays(5, targets=2)
    table = pd.read_csv(sl.export(write_results(tmp_path, arrays), "tsv")["tsv"][0], sep="\t")
    assert [one for one in table if one.startswith("output")] == ["output.target_0", "output.target_1"]
    np.testing.assert_allclose(table["output.target_1"], arrays["outputs"][:, 1], rtol=1e-6)


def test_a_profile_is_too_long_for_a_line(tmp_path):
    results = write_results(tmp_path, {"profile": np.zeros((3, 2, 50)), "counts": np.zeros((3, 2))}, method="predict")
    with pytest.raises(sl.InputError, match=r"'profile' has shape \(3, 2, 50\), too many numbers .*use npz"):
        sl.export(results, "tsv")


def test_a_row_that_is_not_a_number_has_no_numbers(tmp_path):
    arrays = attribution_arrays(3)
    for name in ("deltas", "reference_outputs"):
        arrays[name][1] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = pd.read_csv(sl.export(write_results(tmp_path, arrays), "tsv")["tsv"][0], sep="\t")
    assert table["largest_delta"].isna().tolist() == table["reference_output"].isna().tolist() == [False, True, False]
