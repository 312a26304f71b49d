from __future__ import annotations

import errno
import importlib.util
import inspect
import json
import os
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import yaml

import seqlight as sl
from seqlight.cli import main as command_line
from seqlight.errors import InputError

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
# Configurations of LightningCLI, which the tests of the classes in them load.
LIGHTNING = {"train", "genome", "watch"}
OURS = [path for path in CONFIGS if path.stem not in LIGHTNING]


def work(out: Path = Path("here"), often: int = 3) -> None:
    """Do some work.

    Args:
        out: Where it goes.
        often: How many times.
    """
    if often == 0:
        raise InputError("often is 0: expected\n1 or more.")
    if often < 0:
        raise KeyboardInterrupt
    (out / "done").write_text(str(often))


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command line with `work` as its only command; return exit status, stdout and stderr."""

    class Entry:
        name = "work"

        def load(self):
            return work

    monkeypatch.setattr(command_line, "entry_points", lambda group: [Entry()])
    monkeypatch.setattr("sys.path", list(sys.path))  # which is added to

    def run(*argv):
        status = 0
        try:
            command_line.main(argv)
        except SystemExit as end:
            status = end.code
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def test_a_command_runs(run, tmp_path):
    assert run("work", "--out", str(tmp_path), "--often", "5")[0] == 0
    assert (tmp_path / "done").read_text() == "5"
    config = tmp_path / "settings.yaml"
    config.write_text(f"out: {tmp_path}\noften: 7\n")
    assert run("work", "--config", str(config))[0] == 0
    assert (tmp_path / "done").read_text() == "7"
    assert run("work", "--config", str(config), "--often", "8")[0] == 0
    assert (tmp_path / "done").read_text() == "8"


@pytest.mark.reliability(
    "command line",
    "an option or command that does not exist, an abbreviation, a value of another type, a YAML file with a wrong name",
    "exit status 2, and one line with the nearest option or command",
)
def test_a_line_that_cannot_be_understood(run, tmp_path):
    config = tmp_path / "settings.yaml"
    config.write_text("oftener: 7\n")
    for argv, says in (
        (["play"], "there is no command 'play'"),
        (["wrk"], "the nearest is `seqlight work`"),
        (["--often"], "not a command"),
        (["work", "--often", "many"], "--often is 'many': expected a whole number"),
        (["work", "--ofte", "3"], "there is no option --ofte; the nearest is --often"),
        (["work", "--often"], "--often needs a value"),
        (["work", "--often", "3", "more"], "'more' belongs to no option"),
        (["work", "--config", str(config)], "'oftener'"),
        (["work", "--config", str(tmp_path / "missing.yaml")], "missing.yaml"),
    ):
        status, out, error = run(*argv)
        assert status == 2
        assert says in error
        assert error.startswith("seqlight: ")
        assert error.count("\n") == 1
        assert "--help` lists" in error
        assert not out


@pytest.mark.reliability(
    "command line",
    "a refusal, a missing file, a folder without permission, a full disk, a fault of the program itself",
    "exit status 1, and one line without a traceback, which --debug shows",
)
def test_errors_are_one_line(run, tmp_path, monkeypatch):
    assert run("work", "--often", "0") == (1, "", "seqlight: often is 0: expected 1 or more.\n")
    status, _, error = run("work", "--out", str(tmp_path / "missing"))
    assert status == 1
    assert error == f"seqlight: {tmp_path}/missing/done: No such file or directory; check the path.\n"
    for number, says in ((errno.EACCES, "may be read and written"), (errno.ENOSPC, "make room")):
        with monkeypatch.context() as patch:
            patch.setattr(Path, "write_text", lambda self, text, number=number: fail(number, self))
            status, _, error = run("work", "--out", str(tmp_path))
        assert (status, error.count("\n")) == (1, 1)
        assert says in error
    monkeypatch.setattr(Path, "write_text", lambda self, text: 1 / 0)
    for more in ([], ["--debug"]):
        status, _, error = run("work", *more)
        assert status == 1
        assert error.endswith(
            "seqlight: ZeroDivisionError: division by zero "
            "(not foreseen; the same command with --debug shows the traceback)\n"
        )
        assert ("Traceback" in error) == bool(more)


def fail(number, path):
    raise OSError(number, os.strerror(number), str(path))


def test_an_interruption(run):
    assert run("work", "--often=-1") == (130, "", "seqlight: interrupted; the same command starts anew.\n")


def test_without_a_command_it_shows_what_there_is(run):
    status, out, error = run()
    assert (status, error) == (0, "")
    assert "work           Do some work." in out
    assert run("--help") == run("-h") == run("help") == (0, out, "")
    assert run("help", "work")[1].startswith("usage: seqlight work [options]")


@pytest.mark.reliability("command line", "a reader that closes the pipe, such as `| head`", "silence")
def test_a_closed_pipe(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "seqlight", "--help"]
    env = {name: one for name, one in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, env=env)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_each_config_is_loaded_by_a_test():
    tests = "".join(path.read_text() for path in Path(__file__).parents[1].glob("*/test_*.py"))
    assert all(f'"{name}.yaml"' in tests or f"'{name}.yaml'" in tests for name in LIGHTNING)


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.stem)
def test_each_config_fits_its_command(path, monkeypatch):
    first = path.read_text().splitlines()[0].split()
    assert first[:2] == ["#", "seqlight"]
    assert first[3:] == ["--config", f"configs/{path.name}"]
    # As declared in pyproject.toml now, not when the package was installed.
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["seqlight.commands"]
    commands = {name: EntryPoint(name, where, "seqlight.commands") for name, where in declared.items()}
    monkeypatch.setattr(command_line, "entry_points", lambda group: list(commands.values()))
    command = commands[first[2]].load()
    settings, parameters = yaml.safe_load(path.read_text()), inspect.signature(command).parameters
    assert settings.keys() <= parameters.keys()
    command_line.main([first[2], "--config", str(path), "--help"])


def test_help_is_there_at_once():
    """In one process for all commands: nothing is loaded that takes long, and each answer takes under half a second."""
    code = (
        "import contextlib, io, json, sys, time\n"
        "from importlib.metadata import entry_points\n"
        "from seqlight.cli.main import main\n"
        "found = {}\n"
        "names = {one.name for one in entry_points(group='seqlight.commands')} - {'fit', 'validate', 'test'}\n"
        "for words in ([], *([*one.split('-'), '--help'] for one in names)):\n"
        "    begun = time.process_time()\n"
        "    with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):\n"
        "        main(words)\n"
        "    found[' '.join(words)] = shown.getvalue(), time.process_time() - begun\n"
        "heavy = {'torch', 'lightning', 'matplotlib', 'numpy', 'pandas'} & sys.modules.keys()\n"
        "json.dump([found, sorted(heavy)], sys.stdout)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    helps, heavy = json.loads(done.stdout)
    assert not heavy
    assert max(seconds for _, seconds in helps.values()) < 0.5
    texts = {words: " ".join(text.split()) for words, (text, _) in helps.items()}
    assert "demo Train a small model on DNA, watch what it learns, and write a report." in texts[""]
    for option, description in {
        "out": "Folder for the report",
        "data": "What to learn",
        "epochs": "How long to train; 12 for ecoli and 8 for planted",
        "seed": "The seed of everything random",
    }.items():
        assert description in texts["demo --help"].split(f"--{option} ")[-1][:120], option
    for words in texts.keys() - {""}:
        assert "seqlight" in texts[words].partition("xample")[2], f"{words} has no example"


def test_a_class_in_the_current_folder_is_found(run, tmp_path, monkeypatch):
    (tmp_path / "my_own_model.py").write_text("class Net: pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [one for one in sys.path if one])
    run("work", "--out", str(tmp_path))
    assert importlib.util.find_spec("my_own_model") is not None


def test_an_option_is_known_by_its_former_name(run, monkeypatch, tmp_path):
    given = {}

    def make(init_args: dict | None = None) -> None:
        given.update(init_args or {})

    entry = type("Entry", (), {"name": "make", "load": lambda self: make})()
    monkeypatch.setattr(command_line, "entry_points", lambda group: [entry])
    assert run("make", "--arguments", '{"width": 3}')[0] == 0
    assert given == {"width": 3}


def test_the_package_is_the_program(tmp_path):
    done = subprocess.run([sys.executable, "-m", "seqlight", "--version"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, f"seqlight {sl.__version__}\n"), done.stderr


def test_version(run):
    assert run("--version")[:2] == (0, f"seqlight {sl.__version__}\n")


def test_an_option_is_called_as_it_is_typed(monkeypatch, capsys):
    monkeypatch.setattr("sys.path", list(sys.path))
    with pytest.raises(SystemExit) as end:
        command_line.main(["study", "--model", "a.Model"])
    assert end.value.code == 2
    assert "seqlight: --out is missing;" in capsys.readouterr().err
