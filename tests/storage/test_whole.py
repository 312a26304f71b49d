import pytest

from seqlight.storage.whole import whole


def test_the_name_appears_when_all_is_written(tmp_path):
    final = tmp_path / "a.txt"
    with whole(final) as partial:
        partial.write_text("half")
        assert not final.exists()
        partial.write_text("whole")
    assert final.read_text() == "whole"
    assert [one.name for one in tmp_path.iterdir()] == ["a.txt"]


def test_an_error_leaves_the_earlier_file(tmp_path):
    final = tmp_path / "a.txt"
    final.write_text("earlier")

    def fail():
        with whole(str(final)) as partial:
            partial.write_text("half")
            raise KeyError("lost")

    with pytest.raises(KeyError):
        fail()
    assert final.read_text() == "earlier"
    assert [one.name for one in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError), whole(tmp_path / "no" / "a.txt") as partial:
        partial.write_text("a")
