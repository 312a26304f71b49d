import numpy as np
import pytest
import torch

import seqlight as sl
from results_folders import attribution_arrays, write_results
from seqlight.report.row_statistics import RowStatistics


def test_numbers_are_those_of_an_explanation(tmp_path):
    torch.manual_seed(0)
    layers = [torch.nn.Conv1d(4, 3, 5), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(48, 1)]
    X = sl.random_one_hot((6, 4, 20), random_state=0)
    record = sl.attribute(torch.nn.Sequential(*layers), X, n_shuffles=5, random_state=0, device="cpu")
    names = ("attributions", "outputs", "reference_outputs", "deltas", "standard_error")
    arrays = {name: getattr(record, name).numpy() for name in names} | {"sequences": X.numpy()}
    found = RowStatistics.from_results(write_results(tmp_path / "run", arrays), None)
    np.testing.assert_allclose(found.missed, record.relative_deltas.amax(dim=1).numpy(), rtol=1e-5)
    np.testing.assert_allclose(found.outputs, record.outputs.numpy())
    track = record.attributions.sum(dim=1).abs().numpy()
    np.testing.assert_allclose(found.strengths, track.sum(axis=1), rtol=1e-6)
    np.testing.assert_allclose(found.profile, track.mean(axis=0), rtol=1e-6)
    assert found.peaks.tolist() == track.argmax(axis=1).tolist()
    assert (found.references == 5).all()
    error = np.linalg.norm((record.standard_error * X).flatten(1).numpy(), axis=1)
    np.testing.assert_allclose(
        found.errors, error / np.linalg.norm(record.attributions.flatten(1).numpy(), axis=1), rtol=1e-5
    )


def test_the_error_of_the_mean_reference_output(tmp_path):
    arrays = attribution_arrays(4)
    found = RowStatistics.from_results(write_results(tmp_path / "run", arrays), None)
    baselines = arrays["reference_outputs"].astype(float)
    error = baselines.std(axis=1, ddof=1) / np.sqrt(3)
    np.testing.assert_allclose(found.baseline_errors, error / np.abs(arrays["outputs"] - baselines.mean(axis=1)))
    arrays["reference_outputs"][:2, 1:] = np.nan
    found = RowStatistics.from_results(write_results(tmp_path / "one", arrays), None)
    assert np.isnan(found.baseline_errors).tolist() == [True, True, False, False]


@pytest.mark.parametrize("shard_rows", [1, 4, 11])
def test_numbers_do_not_depend_on_shards(tmp_path, shard_rows):
    arrays = attribution_arrays(11, targets=2)
    one, other = (
        RowStatistics.from_results(write_results(tmp_path / f"run{rows}", arrays, shard_rows=rows), 1)
        for rows in (5, shard_rows)
    )
    for name in ("outputs", "strengths", "peaks", "missed", "errors", "references"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_allclose(one.profile, other.profile)


def test_padded_references_do_not_count(tmp_path):
    arrays = attribution_arrays(4)
    before = RowStatistics.from_results(write_results(tmp_path / "before", arrays), None)
    for name in ("reference_outputs", "deltas"):
        arrays[name] = np.pad(arrays[name], ((0, 0), (0, 5)), constant_values=np.nan)
    after = RowStatistics.from_results(write_results(tmp_path / "after", arrays), None)
    np.testing.assert_array_equal(before.missed, after.missed)
    assert (after.references == 3).all()


def test_what_the_run_did_not_keep_is_not_known(tmp_path):
    arrays = {name: one for name, one in attribution_arrays(4).items() if name in ("attributions", "outputs")}
    found = RowStatistics.from_results(write_results(tmp_path / "run", arrays), None)
    assert np.isnan(found.missed).all()
    assert np.isnan(found.errors).all()
    assert (found.references == 0).all()


def test_rows_that_are_not_finite_are_told_apart(tmp_path):
    arrays = attribution_arrays(4)
    arrays["attributions"][1, 0, 3] = np.nan
    arrays["attributions"][2, :2, 3] = np.inf, -np.inf
    found = RowStatistics.from_results(write_results(tmp_path / "run", arrays), None)
    assert found.finite.tolist() == [True, False, False, True]
    assert np.isfinite(found.profile).all()
