"""The README has the newest numbers, and its example runs."""

import re
import subprocess
import sys
from pathlib import Path

import lightning
import lightning.pytorch
import pytest
import torch
from matplotlib.figure import Figure

import seqlight as sl
from seqlight.studies.implementations.registry import choose_implementations

ROOT = Path(__file__).parents[2]


def test_the_readme_has_the_newest_numbers():
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "readme_tables.py", "--check"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.filterwarnings("ignore:.*tensorboardX. has been removed:UserWarning")
def test_the_readme_example_runs(monkeypatch, tmp_path):
    """Every Python block of the README, in order, on a small model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("matplotlib.pyplot.gca", lambda: Figure(figsize=(10, 2)).subplots())
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv1d(4, 8, 7),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool1d(94),
        torch.nn.Flatten(),
        torch.nn.Linear(8 * 94, 2),
    )
    Path("genome.fa").write_text(f">chr1\n{sl.characters(sl.random_one_hot((1, 4, 30_000), random_state=2)[0])}\n")
    Path("peaks.bed").write_text("chr1\t2000\t2500\nchr1\t8000\t8500\nchr1\t25000\t25500\n")
    names = {
        "model": model,
        "sequences": sl.characters(sl.random_one_hot((3, 4, 100), random_state=0)),
        "X_probe": sl.random_one_hot((3, 4, 100), random_state=1),
        "lightning": lightning,
    }
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert len(blocks) == 5
    ours = choose_implementations(["seqlight"])  # to import all the others takes long
    monkeypatch.setattr("seqlight.studies.study.choose_implementations", lambda chosen: ours)
    for block in blocks:
        exec(block, names)
    assert [callback.sequences.shape for callback in names["callbacks"][:1]] == [(3, 4, 100)]
    assert names["found"]["attributions"]["chr1:1000-20000"].shape == (2, 4, 2114)
    assert "seqlight is complete on this model" in names["study"].explain()
