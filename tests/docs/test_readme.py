"""The README and the page of speeds have the newest numbers, and what the README shows runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure

import seqlight as sl
from seqlight.cli.main import main

from .conftest import at_home

ROOT = Path(__file__).parents[2]


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)


def test_numbers_are_those_of_the_results():
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "readme_tables.py", "--check"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_the_five_lines_run(monkeypatch):
    """The Python block of the README, on a small model."""
    monkeypatch.setattr("matplotlib.pyplot.gca", lambda: Figure(figsize=(10, 2)).subplots())
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv1d(4, 8, 7),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool1d(94),
        torch.nn.Flatten(),
        torch.nn.Linear(8 * 94, 2),
    )
    names = {"model": model, "sequences": sl.characters(sl.random_one_hot((3, 4, 100), random_state=0))}
    (block,) = blocks("python")
    assert len([line for line in block.splitlines() if line]) == 5
    exec(block, names)
    assert names["X_attr"].shape == (3, 4, 100)
    assert list(names["seqlets"].columns) == ["example_idx", "start", "end", "attribution", "p-value"]


def test_the_index_of_the_documentation_shows_the_same():
    index = (ROOT / "docs" / "README.md").read_text()
    assert all(f"```{language}\n{block}```" in index for language, block in shown_on_both())


def shown_on_both():
    return [("python", blocks("python")[0]), ("bash", blocks("bash")[1])]


def test_the_two_commands_are_targets_of_make():
    lines = blocks("bash")[0].splitlines()
    commands = [line.partition("#")[0].split() for line in lines]
    assert [program for program, _ in commands] == ["make", "make"]
    for command in commands:
        subprocess.run([*command, "--dry-run"], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.filterwarnings("ignore:.*tensorboardX. has been removed:UserWarning")
def test_the_command_lines_run(tmp_path, capsys):
    (tmp_path / "my_models.py").write_text(
        "import torch\n\n\nclass Net(torch.nn.Sequential):\n    def __init__(self):\n"
        "        super().__init__(torch.nn.Flatten(), torch.nn.Linear(240, 1))\n"
    )
    torch.manual_seed(0)
    torch.save(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(240, 1)).state_dict(), tmp_path / "best.ckpt")
    sl.write_fasta(tmp_path / "peaks.fa", sl.random_one_hot((30, 4, 60), random_state=0))
    lines = [line for line in blocks("bash")[1].splitlines() if line]
    with at_home(tmp_path):
        for line in lines:
            program, *words = line.split()
            assert program == "seqlight"
            main(words)
    assert {"seqlets.tsv", "report.html"} <= {path.name for path in (tmp_path / "attributions").iterdir()}
    assert "Results of 30 rows in attributions" in capsys.readouterr().out
