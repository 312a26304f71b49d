from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch

import seqlight as sl
from planted_attributions import LENGTH, ROWS, SITE, planted_arrays
from results_folders import loci_of, write_results
from seqlight.motifs.seqlet_calls import SeqletOptions, _require_same_run, call_seqlets, summed_track
from seqlight.motifs.seqlet_files import read_tsv, write_seqlets, write_tsv
from seqlight.results.manifest import Manifest
from seqlight.results.results import Results
from seqlight.results.row_names import write_row_names


@pytest.fixture
def results(tmp_path):
    return write_results(tmp_path / "run", planted_arrays(), loci_of(ROWS, LENGTH))


@pytest.mark.parametrize(
    ("options", "call"),
    [
        (SeqletOptions(), sl.recursive_seqlets),
        (SeqletOptions(options={"threshold": 1e-4, "sign": "positive"}), None),
        (SeqletOptions("tfmodisco", fdr=0.1, options={"window_size": 7, "flank": 3}), None),
    ],
)
def test_seqlets_are_those_of_the_callers(results, options, call):
    table, rates = call_seqlets(results, options)
    track = planted_arrays()["attributions"].sum(1)
    given = dict(options.options) | ({"target_fdr": options.fdr} if options.fdr else {})
    caller = sl.tfmodisco_seqlets if options.caller == "tfmodisco" else sl.recursive_seqlets
    expected = caller(track, **given)
    pd.testing.assert_frame_equal(table[list(expected)], expected)
    assert rates is None
    core = 7 if options.caller == "tfmodisco" else table["end"] - table["start"]
    np.testing.assert_allclose(table["mean_attribution"], table["attribution"] / core)


def test_places_and_sequences(results):
    table, _ = call_seqlets(results, SeqletOptions(options={"threshold": 1e-3}))
    assert len(table) == ROWS
    assert all(SITE in text for text in table["sequence"])
    X, loci = results["sequences"].numpy(), results.loci
    for row in table.itertuples():
        spelled = sl.characters(torch.from_numpy(X[row.example_idx][:, row.start : row.end]))
        assert row.sequence == spelled
        expected = loci.start[row.example_idx] + row.start if row.strand == "+" else loci.end[row.example_idx] - row.end
        assert row.genome_start == expected


def test_several_targets_are_in_one_table(tmp_path):
    results = write_results(tmp_path, planted_arrays(targets=2))
    table, _ = call_seqlets(results, SeqletOptions(options={"threshold": 1e-3}))
    assert list(table)[:3] == ["target", "example_idx", "start"]
    both = [table[table["target"] == k].sort_values("example_idx") for k in range(2)]
    assert both[0]["attribution"].tolist() == (-both[1]["attribution"]).tolist()
    second, _ = call_seqlets(results, SeqletOptions(options={"threshold": 1e-3}), target=1)
    assert second["target"].unique().tolist() == [1]
    with pytest.raises(sl.InputError, match=r"target is 2, and .* explains 2: expected 0 to 1"):
        call_seqlets(results, SeqletOptions(), target=2)


def test_a_single_target_has_no_number(results):
    with pytest.raises(sl.InputError, match=r"target is 1, and .* explains a single one: leave `target` out"):
        call_seqlets(results, SeqletOptions(), target=1)


def test_a_control_gives_a_false_discovery_rate(results, tmp_path):
    noise = planted_arrays(seed=1)
    noise["attributions"] = np.random.default_rng(2).permuted(noise["attributions"], axis=2)
    control = write_results(tmp_path / "control", noise)
    table, rates = call_seqlets(results, SeqletOptions(fdr=0.2, control=control))
    expected = sl.recursive_seqlets(
        summed_track(results, None), X_control=summed_track(control, None), target_fdr=0.2, return_fdr=True
    )
    pd.testing.assert_frame_equal(table[list(expected.seqlets)[:5]], expected.seqlets)
    pd.testing.assert_frame_equal(rates, expected.fdr)


@pytest.mark.reliability(
    "seqlets",
    "a control for the false discovery rate that was computed with another model, or other options",
    "refused, with what differs",
)
def test_a_control_of_another_run(results, tmp_path):
    other = write_results(tmp_path / "control", planted_arrays(), method="integrated_gradients")
    with pytest.raises(sl.InputError, match=r"control in .* in method name \('integrated_gradients' here"):
        call_seqlets(results, SeqletOptions(fdr=0.05, control=other))


@pytest.mark.reliability(
    "seqlets",
    "a control of the sequences themselves, without --shuffled",
    "refused: no rate is estimated from it",
)
def test_a_control_that_was_not_shuffled(results, tmp_path):
    for control in (results, write_results(tmp_path / "control", planted_arrays())):
        with pytest.raises(sl.InputError, match=r"the same attributions, of sequences that were not shuffled"):
            call_seqlets(results, SeqletOptions(fdr=0.05, control=control))


def test_a_control_may_lack_what_is_kept_beside_attributions(results, tmp_path):
    control = write_results(tmp_path / "control", planted_arrays(seed=1))
    fields = json.loads((control.path / "manifest.json").read_text())
    fields["method"] |= {"hypothetical": True, "keep": ["sequences"], "layers": True}
    other = Results(control.path, Manifest(**fields))
    _require_same_run(results, other)
    other.manifest.method["n_shuffles"] = 7
    with pytest.raises(sl.InputError, match=r"differs from .* in method n_shuffles"):
        _require_same_run(results, other)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"caller": "best"}, "caller is 'best': expected 'recursive' or 'tfmodisco'"),
        ({"caller": "tfmodisco", "options": {"threshold": 0.1}}, "threshold is an option of the caller 'recursive'"),
        ({"options": {"flank": 3}}, "flank is an option of the caller 'tfmodisco'"),
        ({"fdr": 0.1}, "fdr was given without a control.*--shuffled --out control"),
    ],
)
def test_options_that_do_not_fit(arguments, says):
    with pytest.raises(sl.InputError, match=says):
        SeqletOptions(**arguments)


def test_a_control_sets_the_threshold(results):
    with pytest.raises(sl.InputError, match="threshold was given beside a control, which sets it"):
        SeqletOptions(control=results, options={"threshold": 0.1})
    with pytest.raises(sl.InputError, match="a control was given, which the caller 'tfmodisco' does not use"):
        SeqletOptions("tfmodisco", control=results)


def test_known_motifs_are_of_nucleotides(results, tmp_path):
    known = {SITE: sl.one_hot_encode(SITE).double().numpy(), "other": sl.one_hot_encode("GATTACA").double().numpy()}
    options = SeqletOptions(options={"threshold": 1e-3})
    with pytest.warns(sl.SeqlightWarning, match="2 motifs are fewer"):
        rna, _ = call_seqlets(results, options, known=known, alphabet="RNA")
    assert "UGACUCA" in rna["sequence"][0]
    assert set(rna["motif"]) == {SITE}
    protein = {name: np.zeros((3, 20, 9), np.float32) for name in ("attributions", "sequences")}
    with pytest.raises(sl.InputError, match="has sequences of 20 letters, and known motifs four: leave `motifs` out"):
        call_seqlets(write_results(tmp_path / "protein", protein), options, known=known)
    without = write_results(tmp_path / "without", {"attributions": protein["attributions"]})
    with pytest.raises(sl.InputError, match="did not keep its sequences"):
        call_seqlets(without, options, known=known)


def test_attributions_of_another_shape(tmp_path):
    results = write_results(tmp_path, {"attributions": np.zeros((3, 20), np.float32)})
    with pytest.raises(sl.InputError, match=r"attributions in .* has shape \(3, 20\): expected \(rows, letters"):
        call_seqlets(results, SeqletOptions())


def test_seqlets_before_the_beginning_of_a_chromosome_are_left_out(tmp_path):
    arrays = planted_arrays()
    loci = loci_of(ROWS, LENGTH)
    loci.start[0], loci.end[0] = -60, 40  # the site lies at -20
    results = write_results(tmp_path, arrays, loci)
    table, _ = call_seqlets(results, SeqletOptions(options={"threshold": 1e-3}))
    assert set(table["example_idx"]) == set(range(1, ROWS))


def test_files(results, tmp_path):
    table, _ = call_seqlets(results, SeqletOptions(options={"threshold": 1e-3}))
    paths = write_seqlets(tmp_path / "run", table)
    assert [path.name for path in paths] == ["seqlets.tsv", "seqlets.bed", "seqlets.fa"]
    pd.testing.assert_frame_equal(pd.read_csv(paths[0], sep="\t"), table, check_dtype=False)
    assert len(sl.read_bed(paths[1]).chrom) == ROWS
    assert paths[2].read_text().split()[:2] == [">seqlet_0", table["sequence"][0]]
    # The folder is still that of the run; a later call without some of the files removes them.
    assert len(sl.open_results(tmp_path / "run")) == ROWS
    assert write_seqlets(tmp_path / "run", table.drop(columns=["chrom", "sequence"])) == [paths[0]]
    assert not paths[1].exists()


def test_numbers_are_read_as_they_were_written(tmp_path):
    numbers = np.random.RandomState(0).randn(500) * 10.0 ** np.arange(-250, 250)
    write_tsv(tmp_path / "a.tsv", pd.DataFrame({"attribution": numbers}))
    assert read_tsv(tmp_path / "a.tsv")["attribution"].tolist() == numbers.tolist()


def test_names_of_rows(results):
    write_row_names(results.path, tuple(f"peak {i}" for i in range(ROWS)), results.manifest)
    table, _ = call_seqlets(sl.open_results(results.path), SeqletOptions(options={"threshold": 1e-3}))
    assert table["name"].tolist() == [f"peak_{i}" for i in table["example_idx"]]


def test_other_letters_are_not_compared_with_known_motifs(results):
    with pytest.raises(sl.InputError, match="in ABCD, and known motifs A, C, G and T: leave `motifs` out"):
        call_seqlets(results, SeqletOptions(), known={"site": np.eye(4)}, alphabet="ABCD")
