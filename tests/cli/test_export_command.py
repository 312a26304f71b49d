import numpy as np
import pandas as pd
import pytest
import torch

import seqlight as sl
from bigwig_values import read_bigwig
from results_folders import attribution_arrays, loci_of, run_predictions, write_results
from seqlight.cli.export_command import export_command
from seqlight.cli.refusals import describe_error
from seqlight.cli.results_folder import open_folder
from seqlight.lit.attribution_module import DeepLiftShapModule


def test_files_are_listed(tmp_path, capsys):
    write_results(tmp_path / "run", attribution_arrays(), loci_of(11))
    export_command(tmp_path / "run", ["bed", "modisco"])
    assert capsys.readouterr().out.splitlines() == [
        f"bed: {tmp_path}/run/loci.bed",
        f"modisco: {tmp_path}/run/modisco/sequences.npz, {tmp_path}/run/modisco/attributions.npz",
    ]


def test_lengths_of_chromosomes_are_those_of_the_genome_of_the_run(tmp_path, capsys):
    (tmp_path / "a.fa").write_text(f">chr1\n{sl.characters(sl.random_one_hot((1, 4, 90), random_state=0)[0])}\n")
    regions = pd.DataFrame({"chrom": ["chr1", "chr1"], "start": [0, 50], "end": [30, 80]})
    data = sl.GenomeDataset(sl.Genome(tmp_path / "a.fa", write_index=False), regions)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(120, 1))
    module = DeepLiftShapModule(model, n_shuffles=2)
    sl.run(module, data, out=tmp_path / "run", accelerator="cpu", devices=1, progress=False)
    export_command(tmp_path / "run", ["bigwig"])
    assert capsys.readouterr().out == f"bigwig: {tmp_path}/run/attributions.bw\n"
    found = read_bigwig(tmp_path / "run" / "attributions.bw")["chr1"]
    assert np.flatnonzero(np.isfinite(found)).tolist() == [*range(30), *range(50, 80)]


def test_lengths_that_no_run_has_kept_are_asked_for_by_the_option(tmp_path):
    write_results(tmp_path / "run", attribution_arrays(), loci_of(11))
    with pytest.raises(sl.InputError, match=r'chrom_sizes="hg38\.fa"') as refused:
        export_command(tmp_path / "run", ["bigwig"])
    assert "`--chrom-sizes hg38.fa`" in describe_error(refused.value)


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
