import json
import os

import numpy as np
import pandas as pd
import pytest

import seqlight as sl
from results_folders import attribution_arrays, write_results
from seqlight.motifs.seqlet_files import write_seqlets
from seqlight.report.folder_files import FolderFiles, list_files


@pytest.fixture
def results(tmp_path):
    return write_results(tmp_path / "run", attribution_arrays(4))


def test_nothing_is_there(results):
    found = FolderFiles.from_results(results)
    assert (found.seqlets, found.motifs, found.motif_table, found.known, found.faults) == (None, {}, None, None, [])


def test_what_other_commands_wrote_is_read(results):
    seqlets = pd.DataFrame({"example_idx": [3], "start": [1], "end": [9], "attribution": [0.5], "motif": [np.nan]})
    seqlets.to_csv(results.path / "seqlets.tsv", sep="\t", index=False, na_rep="NA")
    (results.path / "motifs").mkdir()
    sl.write_meme(results.path / "motifs" / "motifs.meme", {"GATA": np.eye(4)})
    # A motif may be called None or null.
    (results.path / "motifs" / "motifs.tsv").write_text("pattern\tq-value\nnull\tNA\n")
    found = FolderFiles.from_results(results)
    pd.testing.assert_frame_equal(found.seqlets, seqlets)
    assert list(found.motifs) == ["GATA"]
    assert found.motif_table["pattern"].tolist() == ["null"]
    assert np.isnan(found.motif_table["q-value"][0])


def test_each_target_has_motifs_of_its_own(results):
    for name in ("motifs", "motifs.target_1"):
        (results.path / name).mkdir()
    sl.write_meme(results.path / "motifs.target_1" / "motifs.meme", {"GATA": np.eye(4)})
    for name, n in (("motifs", 3), ("motifs.target_1", 4)):
        (results.path / name / "known_motifs.tsv").write_text(f"known\tseqlets\nAP1\t{n}\n")
    single, none, found = (FolderFiles.from_results(results, target) for target in (None, 0, 1))
    assert (list(none.motifs), list(found.motifs)) == ([], ["GATA"])
    assert single.known["seqlets"].tolist() == [3]
    assert none.known is None
    assert found.known["seqlets"].tolist() == [4]


@pytest.mark.reliability(
    "the page of a run",
    "a table of seqlets that is empty, is no table, or is of another run",
    "the page is made without it, and says so",
)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "seqlets.tsv cannot be read"),
        ("\x00\x01", "seqlets.tsv"),
        ("a\tb\n1\t2\t3\n1\n", "seqlets.tsv"),
        ("start\tend\n1\t2\n", "has no column example_idx"),
        ("example_idx\tstart\tend\nx\t1\t2\n", "values of example_idx that are not whole numbers"),
        ("example_idx\tstart\tend\n0\t2\t2\n", "has seqlets that end where they begin"),
        ("example_idx\tstart\tend\tattribution\n0\t1\t2\tmuch\n", "values of attribution that are not numbers"),
        ("example_idx\tstart\tend\n4\t1\t2\n", "names rows beyond the 4 of this run"),
        ("example_idx\tstart\tend\n-1\t1\t2\n", "names rows beyond the 4 of this run"),
    ],
)
def test_a_table_that_cannot_be_used(results, text, message):
    (results.path / "seqlets.tsv").write_text(text)
    found = FolderFiles.from_results(results)
    assert found.seqlets is None
    assert len(found.faults) == 1
    assert message in found.faults[0]


def test_an_empty_table_of_seqlets(results):
    (results.path / "seqlets.tsv").write_text("example_idx\tstart\tend\tattribution\n")
    found = FolderFiles.from_results(results)
    assert len(found.seqlets) == 0
    assert not found.faults


def test_motifs_that_cannot_be_read(results):
    (results.path / "motifs").mkdir()
    (results.path / "motifs" / "motifs.meme").write_text("MEME version 4\n")
    found = FolderFiles.from_results(results)
    assert found.motifs == {}
    assert "no motif" in found.faults[0]


def test_files_are_listed_without_shards(results):
    for name in ("seqlets.tsv", "seqlets.bed", "attributions.bw", "report.html", "notes.txt"):
        (results.path / name).touch()
    (results.path / "motifs").mkdir()
    (results.path / "motifs" / "motifs.meme").touch()
    listed = list_files(results.path, results.path / "report.html")
    names = {path.relative_to(results.path).as_posix(): what for path, what in listed}
    assert set(names) == {
        "manifest.json",
        "seqlets.tsv",
        "seqlets.bed",
        "attributions.bw",
        "notes.txt",
        "motifs/motifs.meme",
    }
    assert names["attributions.bw"] == "a track for a genome browser"
    assert names["notes.txt"] == ""


@pytest.mark.reliability(
    "the page of a run",
    "seqlets and motifs of a run that was in the folder before",
    "the page is made without them, and says so",
)
def test_files_of_other_results(results):
    (results.path / "motifs").mkdir()
    table = pd.DataFrame({"example_idx": [3], "start": [1], "end": [9], "attribution": [0.5]})
    sl.write_meme(results.path / "motifs" / "motifs.meme", {"GATA": np.eye(4)})
    for of, there in ((results.manifest.fingerprint, True), ("others", False)):
        write_seqlets(results.path, table, of=of)
        (results.path / "motifs" / "modisco.json").write_text(json.dumps({"results": of}))
        found = FolderFiles.from_results(results)
        assert ((found.seqlets is not None), bool(found.motifs)) == (there, there)
        assert [one.partition(" in this folder")[0] for one in found.faults] == (
            [] if there else [f"{name} is of other results, which were" for name in ("seqlets.tsv", "motifs")]
        )
    # A table that was written by hand has no record.
    write_seqlets(results.path, table)
    assert FolderFiles.from_results(results).seqlets is not None


@pytest.mark.reliability(
    "the page of a run",
    "seqlets of one target, and later of all, or the other way around; files without times; seqlets of other results",
    "those called last of these results are shown",
)
def test_the_seqlets_that_were_called_last_are_shown(results):
    def called(start, target=None, of=results.manifest.fingerprint):
        row = {"example_idx": [3], "start": [start], "end": [9], "attribution": [0.5]}
        table = pd.DataFrame(row if target is not None else {"target": [1], **row})
        for path in write_seqlets(results.path, table, of=of, target=target):
            os.utime(path, (0, 0))

    def shown(target=1):
        found = FolderFiles.from_results(results, target)
        return found.table, found.seqlets["start"].tolist(), found.faults

    called(1, target=1)
    assert shown() == ("seqlets.target_1.tsv", [1], [])
    called(2)
    assert shown() == ("seqlets.tsv", [2], [])
    called(3, target=0)
    assert shown() == ("seqlets.tsv", [2], [])
    called(4, target=1)
    assert shown() == ("seqlets.target_1.tsv", [4], [])
    called(5, of="others")
    assert shown() == ("seqlets.target_1.tsv", [4], [])
    called(6)
    called(7, target=1, of="others")
    assert shown() == ("seqlets.tsv", [6], [])


def test_without_a_record_the_table_of_the_target_is_shown(results):
    for name, start in (("seqlets", 1), ("seqlets.target_1", 2)):
        (results.path / f"{name}.tsv").write_text(f"example_idx\tstart\tend\n3\t{start}\t9\n")
    assert FolderFiles.from_results(results, 1).seqlets["start"].tolist() == [2]
    (results.path / "seqlets.json").write_text('{"number": 1}')
    assert FolderFiles.from_results(results, 1).seqlets["start"].tolist() == [1]
    for text in ("[]", '{"number": "x"}', "", "{"):
        (results.path / "seqlets.json").write_text(text)
        assert FolderFiles.from_results(results, 1).seqlets["start"].tolist() == [2]


def test_files_that_were_not_finished_are_not_listed(results):
    (results.path / "seqlets.tsv.123.partial").touch()
    assert "partial" not in str(list_files(results.path, results.path / "report.html"))
