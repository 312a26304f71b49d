from __future__ import annotations

import json

import pandas as pd
import pytest

import seqlight as sl
from modisco_patterns import write_patterns, write_program
from planted_attributions import SITE, planted_arrays
from results_folders import loci_of, write_results
from seqlight.cli.motifs_command import motifs_command
from seqlight.cli.seqlets_command import seqlets_command
from seqlight.motifs import finemo_run, modisco_run

pytest.importorskip("h5py")


@pytest.fixture
def folder(tmp_path):
    write_results(tmp_path / "run", planted_arrays(), loci_of(24, 100))
    return tmp_path / "run"


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Programs in the place of `modisco` and `finemo`, none at first; what they are told is kept beside them."""
    found = {}
    for module in (modisco_run, finemo_run):
        monkeypatch.setattr(module, "find_program", found.get)
    write_patterns(tmp_path / "made.h5", {"pos_patterns": {SITE: [(i, 40, False) for i in range(0, 24, 2)]}})

    def install(name, text):
        told = write_program(tmp_path / "bin", name, text)
        found[name] = str(tmp_path / "bin" / name)
        return told

    install.modisco = f"import shutil; shutil.copy({str(tmp_path / 'made.h5')!r}, sys.argv[sys.argv.index('-o') + 1])"
    return install


def test_what_is_said_and_written(folder, programs, tmp_path, capsys):
    told = programs("modisco", programs.modisco)
    sl.write_meme(tmp_path / "known.meme", {SITE: sl.one_hot_encode(SITE), "other": sl.one_hot_encode("GATTACA")})
    motifs_command(folder, motifs=str(tmp_path / "known.meme"))
    said = capsys.readouterr().out.splitlines()
    modisco = f"modisco motifs -s {folder}/modisco/sequences.npz -a {folder}/modisco/attributions.npz"
    assert said[0] == f"TF-MoDISco: {modisco} -o {folder}/motifs/modisco.h5 -n 20000 -w 100"
    assert said[1] == "1 motif of 12 seqlets, in 100 positions around the middle of 24 sequences"
    assert said[2].startswith(f"  pos_patterns.pattern_0  12 seqlets  {SITE}  {SITE} (q = ")
    assert said[4].startswith("Fi-NeMo: finemo extract-regions-modisco-fmt")
    assert said[5].startswith("Fi-NeMo is not installed: `pip install finemo`")
    assert said[-1] == f"next: seqlight report {folder}"
    assert {path.name for path in (folder / "motifs").iterdir()} == {
        "modisco.h5", "modisco.json", "modisco.log", "motifs.meme", "motifs.tsv",
        "seqlets.tsv", "seqlets.bed", "seqlets.fa", "finemo",
    }  # fmt: skip
    assert list(sl.read_meme(folder / "motifs" / "motifs.meme")) == ["pos_patterns.pattern_0"]
    sites = pd.read_csv(folder / "motifs" / "seqlets.tsv", sep="\t")
    assert sites["sequence"].unique().tolist() == [SITE]
    assert (sites["genome_start"] == 100 * sites["example_idx"] + 40).all()
    track = sl.open_results(folder)["attributions"].numpy().sum(1)
    assert sites["attribution"].tolist() == pytest.approx(track[::2, 40:47].sum(1).tolist(), rel=1e-6)
    # Again, with other known motifs: TF-MoDISco does not run a second time.
    motifs_command(folder)
    assert "is there already: delete it to run TF-MoDISco again" in capsys.readouterr().out
    assert len(told.read_text().splitlines()) == 1


def test_the_places_are_found_by_fi_nemo(folder, programs, capsys):
    programs("modisco", programs.modisco)
    told = programs("finemo", "")
    motifs_command(folder, finemo=False)
    assert not told.exists()
    motifs_command(folder)
    assert [json.loads(line)[0] for line in told.read_text().splitlines()] == [
        "extract-regions-modisco-fmt",
        "call-hits",
    ]
    assert f"written: {folder}/motifs/finemo/hits.tsv" in capsys.readouterr().out


def test_without_the_program_its_line_is_said(folder, programs, capsys):
    motifs_command(folder)
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("TF-MoDISco: modisco motifs -s ")
    assert said[1].startswith("TF-MoDISco is not installed: `pip install modisco-lite`")
    assert said[2] == f"without it: seqlight seqlets {folder} --motifs jaspar counts known motifs among seqlets"
    assert (folder / "modisco" / "attributions.npz").exists()


@pytest.mark.filterwarnings("ignore:1 motifs are fewer")
def test_known_motifs_are_counted_among_seqlets(folder, programs, tmp_path, capsys):
    sl.write_meme(tmp_path / "known.meme", {SITE: sl.one_hot_encode(SITE)})
    seqlets_command(folder, threshold=1e-3, motifs=str(tmp_path / "known.meme"))
    capsys.readouterr()
    motifs_command(folder)
    assert capsys.readouterr().out.startswith(f"known motifs among 24 seqlets (q < 0.05): {SITE} 24\n")
    counts = pd.read_csv(folder / "motifs" / "known_motifs.tsv", sep="\t")
    assert counts[["known", "seqlets", "positive", "negative", "rows"]].to_numpy().tolist() == [[SITE, 24, 12, 12, 24]]


def test_several_targets(tmp_path, programs, capsys):
    programs("modisco", programs.modisco)
    write_results(tmp_path / "run", planted_arrays(targets=2))
    with pytest.raises(sl.InputError, match="explains 2 targets: say which one with `target`, 0 to 1"):
        motifs_command(tmp_path / "run")
    motifs_command(tmp_path / "run", target=1)
    assert capsys.readouterr().out.endswith(f"next: seqlight report {tmp_path}/run --target 1\n")
    sites = pd.read_csv(tmp_path / "run" / "motifs.target_1" / "seqlets.tsv", sep="\t")
    assert (sites["attribution"] < 0).all()


def test_no_motifs(folder, programs, tmp_path, capsys):
    write_patterns(tmp_path / "none.h5", {})
    programs("modisco", programs.modisco.replace("made.h5", "none.h5"))
    motifs_command(folder)
    assert "0 motifs of 0 seqlets" in capsys.readouterr().out
    assert not (folder / "motifs" / "motifs.meme").exists()
    assert pd.read_csv(folder / "motifs" / "motifs.tsv", sep="\t").empty


@pytest.mark.reliability(
    "command line",
    "`seqlight motifs` on attributions without hypothetical contributions",
    "refused, with the option of `seqlight attribute` that keeps them",
)
def test_attributions_without_hypothetical_ones(tmp_path, programs):
    arrays = planted_arrays()
    del arrays["hypothetical"]
    write_results(tmp_path / "run", arrays)
    with pytest.raises(sl.InputError, match=r"no 'hypothetical' in .* attribute again with `--hypothetical`"):
        motifs_command(tmp_path / "run")
    assert not (tmp_path / "run" / "motifs").exists()
    with pytest.raises(sl.InputError, match=r"target is 3, and .* explains a single one"):
        motifs_command(tmp_path / "run", target=3)


def test_everything_goes_into_another_folder(folder, programs, tmp_path, capsys):
    programs("modisco", programs.modisco)
    before = sorted(folder.iterdir())
    motifs_command(folder, out=tmp_path / "new")
    assert "next:" not in capsys.readouterr().out  # no page would show them
    assert sorted(folder.iterdir()) == before
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"modisco", "motifs"}


@pytest.mark.reliability(
    "command line",
    "a modisco.h5 that was made by hand with another window than `seqlight motifs` takes it for",
    "refused, with the window, since sites would be at other positions",
)
def test_a_file_of_another_window(folder, programs, tmp_path, capsys):
    (folder / "motifs").mkdir()
    groups = {"pos_patterns": {SITE: [(i, 20, False) for i in range(0, 24, 2)]}}
    write_patterns(folder / "motifs" / "modisco.h5", groups, window=60)
    with pytest.raises(
        sl.InputError, match=r"was made with `-w 60`, and 100 positions are asked for: give --window 60"
    ):
        motifs_command(folder)
    motifs_command(folder, window=60)
    sites = pd.read_csv(folder / "motifs" / "seqlets.tsv", sep="\t")
    assert sites["sequence"].unique().tolist() == [SITE]
    # All of sequences that are far shorter than the window are searched.
    write_patterns(folder / "motifs" / "modisco.h5", {}, window=400)
    motifs_command(folder)
    write_patterns(folder / "motifs" / "modisco.h5", {}, window=150)
    with pytest.raises(sl.InputError, match=r"are asked for: delete it to run TF-MoDISco again"):
        motifs_command(folder)


@pytest.mark.parametrize("name", ["nan", "null", "None"])
def test_motifs_with_names_that_read_as_missing(folder, programs, name, capsys):
    columns = {"example_idx": [0], "start": [1], "end": [9], "attribution": [0.5], "motif": [name]}
    pd.DataFrame(columns | {"motif_q-value": [0.01]}).to_csv(folder / "seqlets.tsv", sep="\t", index=False)
    motifs_command(folder)
    assert f"known motifs among 1 seqlets (q < 0.05): {name} 1\n" in capsys.readouterr().out


def test_known_motifs_of_a_target_are_those_of_its_seqlets(tmp_path, programs, capsys):
    write_results(tmp_path / "run", planted_arrays(targets=2))
    columns = {
        "target": [0, 1, 1],
        "example_idx": [0, 1, 2],
        "start": [1] * 3,
        "end": [9] * 3,
        "attribution": [0.5] * 3,
    }
    table = pd.DataFrame(columns | {"motif": ["A", "B", "B"], "motif_q-value": [0.01] * 3})
    table.to_csv(tmp_path / "run" / "seqlets.tsv", sep="\t", index=False)
    for target, said in ((0, "1 seqlets (q < 0.05): A 1"), (1, "2 seqlets (q < 0.05): B 2")):
        motifs_command(tmp_path / "run", target=target)
        assert f"known motifs among {said}\n" in capsys.readouterr().out
        found = pd.read_csv(tmp_path / "run" / f"motifs.target_{target}" / "known_motifs.tsv", sep="\t")
        assert found["known"].tolist() == ["AB"[target]]


def test_seqlets_of_other_results_are_not_counted(folder, programs, capsys):
    (folder / "seqlets.tsv").write_text("example_idx\tattribution\tmotif\tmotif_q-value\n0\t1\tGATA\t0.01\n")
    (folder / "seqlets.json").write_text('{"results": "others"}')
    motifs_command(folder)
    assert "seqlets.tsv is of other results" in capsys.readouterr().out
    assert not (folder / "motifs" / "known_motifs.tsv").exists()
