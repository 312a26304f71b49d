from pathlib import Path

import pytest

import seqlight as sl
from modisco_patterns import write_program
from seqlight.motifs import modisco_run
from seqlight.motifs.modisco_run import ModiscoRun


@pytest.mark.parametrize(
    ("length", "window", "width", "first"), [(2114, None, 400, 857), (101, None, 100, 0), (100, 21, 20, 40)]
)
def test_the_middle_that_is_searched(length, window, width, first):
    run = ModiscoRun(Path("s"), Path("a"), Path("o"), length, window)
    assert (run.width, run.first) == (width, first)
    assert str(run) == f"modisco motifs -s s -a a -o o -n 20000 -w {width}"


@pytest.mark.parametrize(
    ("more", "says"),
    [({"window": 101}, "window is 101, and sequences have 100"), ({"max_seqlets": 0}, "max_seqlets is 0")],
)
def test_numbers_that_do_not_fit(more, says):
    with pytest.raises(sl.InputError, match=says):
        ModiscoRun(Path("s"), Path("a"), Path("o"), 100, **more)


def test_it_runs_once_for_the_same_results(tmp_path, monkeypatch):
    text = "open(sys.argv[sys.argv.index('-o') + 1], 'w').write('patterns')"
    write_program(tmp_path / "bin", "modisco", text)
    monkeypatch.setattr(modisco_run, "find_program", lambda name: str(tmp_path / "bin" / name))
    run = ModiscoRun(tmp_path / "s", tmp_path / "a", tmp_path / "motifs" / "modisco.h5", 100)
    assert not run.is_done("these")
    assert run.run("these")
    assert run.out.read_text() == "patterns"
    assert run.is_done("these")
    assert not run.is_done("those")
    assert not ModiscoRun(run.sequences, run.attributions, run.out, 100, 50).is_done("these")
    # One that was made by hand is used too.
    (tmp_path / "motifs" / "modisco.json").unlink()
    assert run.is_done("those")


def test_nothing_is_left_of_a_run_that_failed(tmp_path, monkeypatch):
    write_program(
        tmp_path / "bin", "modisco", "open(sys.argv[sys.argv.index('-o') + 1], 'w').write('half'); sys.exit(1)"
    )
    monkeypatch.setattr(modisco_run, "find_program", lambda name: str(tmp_path / "bin" / name))
    run = ModiscoRun(tmp_path / "s", tmp_path / "a", tmp_path / "motifs" / "modisco.h5", 100)
    with pytest.raises(sl.ResultsError, match="modisco failed with exit status 1"):
        run.run("these")
    assert [path.name for path in (tmp_path / "motifs").iterdir()] == ["modisco.log"]


def test_one_that_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(modisco_run, "find_program", lambda name: None)
    assert not ModiscoRun(tmp_path / "s", tmp_path / "a", tmp_path / "motifs" / "modisco.h5", 100).run("these")
    assert not list(tmp_path.iterdir())
