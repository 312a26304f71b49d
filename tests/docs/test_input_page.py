"""The page of files and models: what its Python block prints, and that each command opens its data and its model."""

from __future__ import annotations

import gzip
import re
import shlex

import lightning.pytorch as L
import numpy as np
import pytest
import torch
from jsonargparse import auto_cli

import seqlight as sl
from seqlight.cli.models import open_model
from seqlight.cli.sequences import open_sequences
from seqlight.extras import import_extra

from .conftest import DOCS, FILE, at_home, blocks_of

PAGE = (DOCS / "input.md").read_text()
COMMANDS = [line for text in blocks_of(PAGE, "sh") for line in text.splitlines()]


def options(model: str, data: str, out: str, checkpoint: str | None = None, module: str | None = None,
            init_args: dict[str, int] | None = None, genome: str | None = None, window: int | None = None,
            alphabet: str = "DNA", inputs: int = 1):  # fmt: skip
    """Return the options of a command, which the parser reads by their types."""
    return dict(locals())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the files of the page."""
    folder = tmp_path_factory.mktemp("page")
    (model,) = [text for text in blocks_of(PAGE, "python") if FILE.match(text)]
    (folder / "model.py").write_text(model)
    texts = sl.characters(sl.random_one_hot((3, 4, 50), random_state=0))
    fasta = "".join(f">s{i}\n{text}\n" for i, text in enumerate(texts))
    (folder / "sites.fa").write_text(fasta)
    (folder / "sites.fa.gz").write_bytes(gzip.compress(fasta.encode()))
    (folder / "hg38.fa").write_text(f">chr1\n{''.join(texts)}\n")
    (folder / "peaks.narrowPeak").write_text("chr1\t20\t120\tp\t0\t.\t1\t1\t1\t30\n")
    (folder / "regions.bed.gz").write_bytes(gzip.compress(b"chr1\t20\t70\nchr1\t30\t80\n"))
    X = sl.random_one_hot((3, 4, 50), random_state=0).numpy()
    np.save(folder / "X.npy", X)
    np.savez(folder / "both.npz", X=X, cell=np.ones((3, 2), np.float32))
    (folder / "kinases.fa").write_text(">first kinase\nMKVLAAGXLL\n>second\nMKKLAWGTLL\n")
    with at_home(folder):
        from model import LitNet, Net

        torch.save(Net().state_dict(), "net.pt")
        import_extra("safetensors.torch", "safetensors").save_file(Net().state_dict(), "net.safetensors")
        trainer = L.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
        trainer.strategy.connect(LitNet(8))
        trainer.save_checkpoint("lit.ckpt", weights_only=True)
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_opens_its_data_and_its_model(folder, command):
    program, _, *rest = shlex.split(command)
    assert program == "seqlight"
    with at_home(folder):
        given = auto_cli(options, args=rest, as_positional=False)
        data = open_sequences(*(given[name] for name in ("data", "genome", "window", "alphabet", "inputs")))
        model = open_model(*(given[name] for name in ("model", "checkpoint", "module", "init_args")))
        if isinstance(data, np.ndarray | tuple):
            arrays = data if isinstance(data, tuple) else (data,)
            rows = [torch.from_numpy(np.array(one[:1])) for one in arrays]
        else:
            rows = [data.batch([0])]
        assert torch.isfinite(model(*(one.float() for one in rows))).all()


def test_the_python_block_prints_what_is_shown(folder, capsys):
    (block,) = [text for text in blocks_of(PAGE, "python") if not FILE.match(text)]
    with at_home(folder):
        exec(compile(block, "input.md", "exec"), {})
    assert [capsys.readouterr().out] == blocks_of(PAGE, "text")


def test_each_letter_and_file_that_the_page_names_is_known():
    from seqlight.cli.sequences import MOST_UNPACKED
    from seqlight.sequence.alphabets import DNA, PROTEIN

    assert PROTEIN.letters in PAGE
    assert set(DNA.unknown) <= set(re.search(r"N, and the letters .*?unknown", PAGE, re.DOTALL)[0].replace("\n", " "))
    assert f"up to {MOST_UNPACKED >> 20} MiB" in PAGE
