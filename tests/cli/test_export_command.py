import pytest

import seqlight as sl
from results_folders import attribution_arrays, loci_of, run_predictions, write_results
from seqlight.cli.export_command import export_command
from seqlight.cli.results_folder import open_folder


def test_files_are_listed(tmp_path, capsys):
    write_results(tmp_path / "run", attribution_arrays(), loci_of(11))
    export_command(tmp_path / "run", ["bed", "modisco"])
    assert capsys.readouterr().out.splitlines() == [
        f"bed: {tmp_path}/run/loci.bed",
        f"modisco: {tmp_path}/run/modisco/sequences.npz, {tmp_path}/run/modisco/attributions.npz",
    ]


def test_a_format_is_checked_before_the_folder_is_read(tmp_path):
    with pytest.raises(sl.InputError, match=r"there is no format 'fata': .*did you mean fasta\?"):
        export_command(tmp_path / "nowhere", ["fata"])


@pytest.mark.reliability(
    "command line",
    "the folder of a run that was interrupted, given to `seqlight export`, `seqlets` or `motifs`",
    "refused, with the number of rows that are missing and the command that computes them",
)
def test_a_run_that_was_interrupted(tmp_path):
    write_results(tmp_path / "run", attribution_arrays(), loci_of(11))
    (tmp_path / "run" / "shard-000002.npz").unlink()
    with pytest.raises(sl.ResultsError, match=r"3 of 11 rows are missing in .*`seqlight attribute \.\.\. --out .*run`"):
        open_folder(tmp_path / "run")


def test_other_folders(tmp_path):
    run_predictions(tmp_path / "predictions")
    with pytest.raises(sl.InputError, match="holds predictions, and not attributions: give the --out folder of"):
        open_folder(tmp_path / "predictions", "attributions")
    with pytest.raises(sl.InputError, match="holds no results"):
        open_folder(tmp_path, "attributions")
    with pytest.raises(sl.InputError, match="nowhere does not exist: expected the --out folder"):
        open_folder(tmp_path / "nowhere")
    (tmp_path / "peaks.bed").touch()
    with pytest.raises(sl.InputError, match=r"peaks\.bed is a file: expected the --out folder"):
        open_folder(tmp_path / "peaks.bed")
