import json
import sys

import pandas as pd
import pytest

import seqlight as sl
from planted_attributions import SITE, planted_arrays
from results_folders import loci_of, run_predictions, write_results
from seqlight.cli.seqlets_command import seqlets_command
from seqlight.report.folder_files import FolderFiles


@pytest.fixture
def folder(tmp_path):
    write_results(tmp_path / "run", planted_arrays(), loci_of(24, 100))
    return tmp_path / "run"


def test_what_is_said_and_written(folder, tmp_path, capsys):
    sites = {SITE: sl.one_hot_encode(SITE), "GATTACA": sl.one_hot_encode("GATTACA")}
    sl.write_meme(tmp_path / "known.meme", sites)
    with pytest.warns(sl.SeqlightWarning, match="2 motifs are fewer than 25"):
        seqlets_command(folder, threshold=1e-3, motifs=str(tmp_path / "known.meme"))
    assert capsys.readouterr().out.splitlines() == [
        "24 seqlets in 24 of 24 rows (12 positive, 12 negative)",
        f"known motifs with q < 0.05: {SITE} 24",
        f"written: {folder}/seqlets.tsv, {folder}/seqlets.bed, {folder}/seqlets.fa",
        f"next: seqlight motifs {folder}; seqlight report {folder}",
    ]
    table = pd.read_csv(folder / "seqlets.tsv", sep="\t")
    assert table["motif"].unique().tolist() == [SITE]
    assert (folder / "seqlets.bed").read_text().split("\n")[0].split("\t")[3] == SITE


def test_what_comes_next_can_be_run(tmp_path, capsys):
    arrays = planted_arrays(targets=2)
    write_results(tmp_path / "two", arrays)
    seqlets_command(tmp_path / "two", target=1)
    folder = tmp_path / "two"
    following = f"next: seqlight motifs {folder} --target 1; seqlight report {folder} --target 1\n"
    assert capsys.readouterr().out.endswith(following)
    del arrays["hypothetical"]
    write_results(tmp_path / "without", arrays)
    seqlets_command(tmp_path / "without")
    assert capsys.readouterr().out.endswith(f"next: seqlight report {tmp_path / 'without'}\n")


def test_a_table_of_one_target_lies_beside_that_of_all(tmp_path, capsys):
    folder = write_results(tmp_path / "two", planted_arrays(targets=2)).path
    seqlets_command(folder)
    assert "\nof 2 targets, in one table with the column target\n" in capsys.readouterr().out
    everything = (folder / "seqlets.tsv").read_bytes()
    seqlets_command(folder, target=1, threshold=1e-3)
    assert "of 2 targets" not in capsys.readouterr().out
    assert (folder / "seqlets.tsv").read_bytes() == everything
    own = pd.read_csv(folder / "seqlets.target_1.tsv", sep="\t")
    assert set(own["target"]) == {1}
    results = sl.open_results(folder)
    shown, other = (FolderFiles.from_results(results, k).seqlets for k in (1, 0))
    assert len(shown) == len(own)
    assert set(other["target"]) == {0, 1}


def test_a_folder_of_its_own(folder, tmp_path, capsys):
    seqlets_command(folder, caller="tfmodisco", window_size=7, flank=3, out=tmp_path / "new" / "one")
    assert capsys.readouterr().out.endswith(f"\nnext: seqlight motifs {folder}\n")  # no page would show them
    assert {path.name for path in (tmp_path / "new" / "one").iterdir()} == {"seqlets.tsv", "seqlets.bed", "seqlets.fa"}
    assert not (folder / "seqlets.tsv").exists()


def test_the_control_inside_of_the_folder_is_found(folder):
    arrays = planted_arrays(seed=1)
    arrays["attributions"] = arrays["attributions"][:, :, ::-1] * 0.01
    write_results(folder / "control", arrays)
    seqlets_command(folder, fdr=0.2)
    assert set(pd.read_csv(folder / "seqlets.fdr.tsv", sep="\t")["sign"]) == {"positive", "negative"}


def test_nothing_called_is_an_empty_table(folder, capsys):
    seqlets_command(folder, threshold=1e-30)
    assert capsys.readouterr().out.startswith("0 seqlets in 0 of 24 rows (0 positive, 0 negative)")
    assert list(pd.read_csv(folder / "seqlets.tsv", sep="\t"))[:5] == [
        "example_idx", "start", "end", "attribution", "p-value",
    ]  # fmt: skip
    assert (folder / "seqlets.bed").read_text() == ""


def test_folders_without_attributions(tmp_path, folder):
    run_predictions(tmp_path / "predictions")
    with pytest.raises(sl.InputError, match="holds predictions, and not attributions"):
        seqlets_command(tmp_path / "predictions")
    with pytest.raises(sl.InputError, match="holds no results"):
        seqlets_command(folder, fdr=0.1, control=tmp_path)


def test_the_options_are_those_of_the_program(folder, capsys, monkeypatch):
    from seqlight.cli import main as command_line

    monkeypatch.setattr("sys.path", list(sys.path))
    command_line.main(["seqlets", str(folder), "--threshold", "1e-3", "--sign=positive"])
    assert capsys.readouterr().out.startswith("12 seqlets in 12 of 24 rows")
    assert json.loads((folder / "manifest.json").read_text())["rows"] == 24


def test_seqlets_of_other_results_are_not_shown(folder, tmp_path):
    from seqlight.report.folder_files import FolderFiles

    others = write_results(tmp_path / "others", planted_arrays(), loci_of(24, 100), method="another")
    seqlets_command(folder, threshold=1e-3)
    assert FolderFiles.from_results(sl.open_results(folder)).seqlets is not None
    seqlets_command(folder, threshold=1e-3, out=others.path)
    assert FolderFiles.from_results(others).seqlets is None
