"""Every Python block of the documentation is run by a test, and those that no other test runs are run here."""

import contextlib
import io
import re
from pathlib import Path

import lightning
import lightning.pytorch
import pytest
import torch

import seqlight as sl

from .conftest import DOCS, blocks_of

ROOT = Path(__file__).parents[2]
# The file of tests that runs the blocks of a page, where it is not named like the page.
RUN_BY = {
    "README.md": "tests/docs/test_readme.py",
    "artefact.md": "tests/docs/test_blocks.py",
    "attribution.md": "tests/docs/test_blocks.py",
    "callbacks.md": "tests/callbacks/test_docs.py",
    "deltas.md": "tests/docs/test_how_to_pages.py",
    "distributed.md": "tests/docs/test_blocks.py",
    "write_a_rule.md": "tests/attribution/test_write_a_rule_page.py",
    "studies/planted.md": "tests/docs/test_blocks.py",
    "studies/seqlets.md": "tests/docs/test_studies_seqlets_page.py",
    "how_to/": "tests/docs/test_how_to_pages.py",
    "tutorials/": "tests/docs/test_tutorials.py",
}
PAGES = [path.relative_to(DOCS).as_posix() for path in sorted(DOCS.rglob("*.md")) if "```python" in path.read_text()]


@pytest.mark.parametrize("page", PAGES)
def test_some_test_runs_the_blocks_of(page):
    usual = f"tests/docs/test_{Path(page).stem}_page.py"
    test = ROOT / RUN_BY.get(page, RUN_BY.get(f"{page.rpartition('/')[0]}/", usual))
    assert test.exists(), f"name the test that runs the blocks of docs/{page} in RUN_BY"
    assert Path(page).stem in test.read_text()


def python_blocks(page):
    return blocks_of((DOCS / page).read_text(), "python")


def test_the_audit_on_the_page_of_attributions():
    """What is printed is what the page shows, but for shares that depend on weights."""
    names = {"torch": torch, "seqlight": sl, "X": sl.random_one_hot((4, 4, 30), random_state=0)}
    out = io.StringIO()
    (block,) = python_blocks("attribution.md")
    torch.manual_seed(0)
    with contextlib.redirect_stdout(out):
        exec(compile(block, "attribution.md", "exec"), names)
    page = (DOCS / "attribution.md").read_text()
    shown = page.partition(block)[2].split("```\n")[2]

    def without_shares(text):
        return re.sub(r"[\d.]+%", "%", re.sub(r" +", " ", text)).strip()

    assert without_shares(out.getvalue()) == without_shares(shown)


@pytest.mark.filterwarnings("ignore:.*tensorboardX. has been removed:UserWarning")
def test_the_callbacks_on_the_page_of_the_artefact():
    (block,) = python_blocks("artefact.md")
    names = {"lightning": lightning, "train_positives": sl.random_one_hot((4, 4, 50), random_state=0)}
    exec(compile(block, "artefact.md", "exec"), names)
    assert names["attribution"] in names["trainer"].callbacks


@pytest.mark.filterwarnings("ignore:.*tensorboardX. has been removed:UserWarning")
def test_runs_on_the_page_of_many_devices(tmp_path):
    """Its lines on a CPU; that of Ray, which is not installed here, is only compiled."""
    torch.manual_seed(0)
    names = {
        "model": torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(120, 1)),
        "X": sl.random_one_hot((12, 4, 30), random_state=0),
        "my_target": lambda out: out[:, 0],
    }
    blocks = python_blocks("distributed.md")
    assert len(blocks) == 4
    with contextlib.chdir(tmp_path):
        for block in blocks:
            code = compile(block.replace("devices=4", 'devices=1, accelerator="cpu"'), "distributed.md", "exec")
            if "ray" not in block:
                exec(code, names)
        assert names["results"]["attributions"].shape == (12, 4, 30)
        assert {path.name for path in tmp_path.iterdir()} >= {"attributions", "named", "predictions"}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning:captum")
def test_the_example_on_the_page_of_planted_motifs():
    """It trains a network; what it prints is said in its comments."""
    (block,) = python_blocks("studies/planted.md")
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(block, "planted.md", "exec"), {})
    captum, seqlight, *recalls = [float(line.rpartition(" ")[2]) for line in out.getvalue().splitlines()]
    assert captum == pytest.approx(0.55, abs=0.05)
    assert seqlight < 1e-6
    assert recalls == pytest.approx([0.20, 0.40, 0.93], abs=0.05)
