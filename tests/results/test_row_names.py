from __future__ import annotations

import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import seqlight as sl
from seqlight.results.manifest import Manifest
from seqlight.results.row_names import NAME, RowNames, as_row_names, read_row_names, update_row_names, write_row_names

RUN = Manifest(3, 2, {"name": "predict"}, {"weights": "ab"}, "cd", format=2)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
OTHER = Manifest(3, 2, {"name": "predict"}, {"weights": "ef"}, "cd", format=2)


@settings(max_examples=40)
@given(st.lists(TEXT, max_size=8), st.sampled_from(["ACGT", "ACDE", ""]))
def test_names_are_read_as_they_were_written(names, letters):
    with tempfile.TemporaryDirectory() as folder:
        named = RowNames(tuple(names), letters)
        write_row_names(Path(folder), named)
        assert read_row_names(Path(folder)) == named


def test_names_follow_their_run(tmp_path):
    assert read_row_names(tmp_path, RUN) is None
    update_row_names(tmp_path, RowNames(("a", "b", "c")), RUN)
    assert read_row_names(tmp_path, RUN) == RowNames(("a", "b", "c"))
    before = (tmp_path / NAME).stat()
    update_row_names(tmp_path, RowNames(("a", "b", "c")), RUN)
    assert (tmp_path / NAME).stat().st_ino == before.st_ino
    update_row_names(tmp_path, RowNames(("a", "b", "d")), RUN)
    assert read_row_names(tmp_path, RUN) == RowNames(("a", "b", "d"))
    update_row_names(tmp_path, None, RUN)
    assert read_row_names(tmp_path, RUN) is None


@pytest.mark.reliability(
    "results folders",
    "row_names.npz of another run, damaged, or with too few names",
    "an error; written anew by the run",
)
def test_names_of_another_run(tmp_path):
    write_row_names(tmp_path, RowNames(("a", "b", "c")), OTHER)
    with pytest.raises(sl.ResultsError, match=r"row_names\.npz belongs to another run than manifest.json: start the"):
        read_row_names(tmp_path, RUN)
    write_row_names(tmp_path, RowNames(("a",)), RUN)
    with pytest.raises(sl.ResultsError, match="does not have a name for each of 3 rows"):
        read_row_names(tmp_path, RUN)
    write_row_names(tmp_path, RowNames(("a", "b", "c")), RUN)
    content = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(content.replace(b"abc", b"\xffbc"))
    with pytest.raises(sl.ResultsError, match=r"row_names\.npz is damaged"):
        read_row_names(tmp_path, RUN)
    update_row_names(tmp_path, RowNames(("a", "b", "c")), RUN)
    assert read_row_names(tmp_path, RUN) == RowNames(("a", "b", "c"))


def test_what_cannot_be_names():
    for given_names, message in (
        ("abc", "row_names of the data is a str: expected a sequence of strings"),
        (["a", 2], "row_names of the data has 2 in it, an int: expected strings"),
        (["a"], "row_names of the data has 1 names for 2 rows: expected as many"),
    ):
        with pytest.raises(sl.InputError, match=message):
            as_row_names(given_names, 2)
    assert as_row_names(np.array(["a", "b"], object), 2) == ("a", "b")


class Named(torch.utils.data.Dataset):
    """Rows with names."""

    row_names = tuple("abcde")

    def __len__(self):
        return 5

    def __getitem__(self, row):
        return torch.full((4, 6), float(row))


def test_results_have_the_names_of_their_data(tmp_path):
    model = torch.nn.Flatten()
    some = torch.utils.data.Subset(torch.utils.data.Subset(Named(), [4, 3, 0]), [2, 0])
    for data, names in ((Named(), tuple("abcde")), (some, ("a", "e")), (torch.zeros(5, 4, 6), None)):
        found = sl.run(model, data, tmp_path / str(len(names or ())), accelerator="cpu", devices=1, progress=False)
        assert found.row_names == names
        assert pickle.loads(pickle.dumps(found)).row_names == names
        found.verify()
    # Folders of before, which have no names, get them when the run goes on.
    (tmp_path / "5" / NAME).unlink()
    assert sl.open_results(tmp_path / "5").row_names is None
    sl.run(model, Named(), tmp_path / "5", accelerator="cpu", devices=1, progress=False)
    assert sl.open_results(tmp_path / "5").row_names == tuple("abcde")


def test_results_know_the_letters_of_their_data(tmp_path):
    (tmp_path / "a.fa").write_text(">a\nMKVLA\n>b\nMKXLA\n")
    data = sl.FastaDataset(tmp_path / "a.fa", alphabet="protein")
    for rows, out in ((data, "all"), (torch.utils.data.Subset(data, [1]), "some")):
        found = sl.run(torch.nn.Flatten(), rows, tmp_path / out, accelerator="cpu", devices=1, progress=False)
        assert found.alphabet == "ACDEFGHIKLMNPQRSTVWY"
        assert found.row_names[-1] == "b"
