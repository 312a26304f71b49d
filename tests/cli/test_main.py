from __future__ import annotations

import importlib.util
import inspect
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


def test_errors_are_one_line(run, tmp_path):
    config = tmp_path / "settings.yaml"
    config.write_text("oftener: 7\n")
    for argv, says in (
        ([], "subcommand"),
        (["play"], "invalid choice: 'play'"),
        (["work", "--often", "many"], "often"),
        (["work", "--oftener", "3"], "--oftener"),
        (["work", "--config", str(config)], "'oftener'"),
        (["work", "--config", str(tmp_path / "missing.yaml")], "missing.yaml"),
    ):
        status, out, error = run(*argv)
        assert status == 2
        assert says in error
        assert error.startswith("seqlight: ")
        assert error.count("\n") == 1
        assert not out
    assert run("work", "--often", "0")[0] == "seqlight: often is 0: expected 1 or more."
    status = run("work", "--out", str(tmp_path / "missing"))[0]
    assert status.startswith("seqlight: ")
    assert "No such file" in status
    assert run("work", "--often=-1")[0] == 130


@pytest.mark.reliability(
    "command line",
    "`--device cuda`, where there is `--accelerator` and `--devices`",
    "a line that says what to write",
)
@pytest.mark.parametrize("command", ["predict", "attribute"])
@pytest.mark.parametrize("given", [["--device", "cuda"], ["--device=cuda"], ["--device", "1"]])
def test_device_is_no_abbreviation_of_devices(command, given, monkeypatch, capsys):
    monkeypatch.setattr("sys.path", list(sys.path))
    with pytest.raises(SystemExit) as end:
        command_line.main([command, "--model", "a.Model", "--data", "X.npy", "--out", "out", *given])
    assert end.value.code == 2
    assert capsys.readouterr().err == "seqlight: there is no --device: use --accelerator gpu --devices 1.\n"


def test_our_errors_keep_their_traceback(run, monkeypatch):
    monkeypatch.setattr(Path, "write_text", lambda self, text: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run("work")


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
    with pytest.raises(SystemExit) as end:
        command_line.main([first[2], "--config", str(path), "--help"])
    assert end.value.code == 0


def test_help_does_not_load_lightning():
    code = (
        "import sys\n"
        "from seqlight.cli.main import main\n"
        "try:\n"
        "    main(sys.argv[1:])\n"
        "except SystemExit:\n"
        "    assert not {'torch', 'lightning', 'matplotlib'} & sys.modules.keys(), 'slow'\n"
    )
    helps = {}
    for argv in (("--help",), ("demo", "--help")):
        done = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        helps[argv] = " ".join(done.stdout.split())
    assert "demo Train a small model on DNA, watch what it learns, and write a report." in helps["--help",]
    for option, description in {
        "out": "Folder for the report",
        "data": "What to learn",
        "epochs": "How long to train; 12 for ecoli and 8 for planted",
        "seed": "The seed of everything random",
    }.items():
        shown = helps["demo", "--help"].split(f"--{option} ")[-1]
        assert description in shown[:120], option


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
    assert "the following arguments are required: --out;" in capsys.readouterr().err
