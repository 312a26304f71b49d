"""The README and the page of speeds have the newest numbers, and what the README shows runs."""

import re
import subprocess
import sys
from pathlib import Path

import torch
from matplotlib.figure import Figure

import seqlight as sl

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


def test_the_two_commands_are_targets_of_make():
    lines = blocks("bash")[0].splitlines()
    commands = [line.partition("#")[0].split() for line in lines]
    assert [program for program, _ in commands] == ["make", "make"]
    for command in commands:
        subprocess.run([*command, "--dry-run"], cwd=ROOT, check=True, capture_output=True)
