"""Every snippet of docs/data.md, on a toy genome of the names that it uses."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import seqlight as sl
from seqlight.lit.__main__ import cli

ROOT = Path(__file__).parents[2]
SIZES = {"chr1": 4000, "chr2": 9000, "chr8": 3000, "chr20": 2000}


def blocks(language):
    text = (ROOT / "docs" / "data.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


@pytest.fixture
def _toy(monkeypatch, tmp_path):
    big = pytest.importorskip("pyBigWig")
    monkeypatch.chdir(tmp_path)
    texts = [sl.characters(sl.random_one_hot((1, 4, size), random_state=size)[0]) for size in SIZES.values()]
    Path("hg38.fa").write_text("".join(f">{name}\n{text}\n" for name, text in zip(SIZES, texts, strict=True)))
    rng = np.random.RandomState(0)
    lines = {"background.bed": "{0}\t{1}\t{2}\n", "peaks.narrowPeak": "{0}\t{1}\t{2}\t.\t0\t.\t{3}\t2\t1\t{4}\n"}
    for name, line in lines.items():
        places = [(chrom, rng.randint(0, size - 250)) for chrom, size in SIZES.items() for _ in range(12)]
        peaks = [line.format(chrom, at, at + 250, rng.randint(3, 9), rng.randint(250)) for chrom, at in places]
        Path(name).write_text("".join(peaks))
    Path("exclusion.bed").write_text("chr2\t100\t200\nchrUn\t0\t10\n")
    for i, name in enumerate(("plus.bw", "minus.bw")):
        file = big.open(name, "w")
        file.addHeader(list(SIZES.items()))
        for chrom, size in SIZES.items():
            file.addEntries(chrom, 0, values=[float(i)] * size, span=1, step=1)
        file.close()


@pytest.mark.filterwarnings("ignore:.*tensorboardX. has been removed:UserWarning")
@pytest.mark.filterwarnings("ignore:The number of training batches:UserWarning")
@pytest.mark.filterwarnings("ignore:No (negative|positive) samples in targets:UserWarning")
@pytest.mark.usefixtures("_toy")
def test_python():
    pieces = blocks("python")
    assert len(pieces) == 6
    names: dict[str, object] = {}
    for piece in pieces:
        exec(piece, names)
    assert {len(names["logits"]), len(names["peaks"])} == {48}
    assert Path("attributions.bw").stat().st_size > 1000
    assert names["y"].shape[1:] == (2, 25)


def test_shell(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    (line,) = blocks("bash")
    python, *module, command = line.split(maxsplit=3)
    assert (python, *module) == ("python", "-m", "seqlight.lit")
    monkeypatch.setattr("sys.argv", ["seqlight.lit", *command.split(), "--print_config"])
    with pytest.raises(SystemExit) as ended:
        cli()
    assert ended.value.code == 0
    assert "max_epochs: 8" in capsys.readouterr().out


def test_links():
    text = (ROOT / "docs" / "data.md").read_text()
    targets = re.findall(r"\]\((\.\./[^)]+)\)", text)
    assert len(targets) == 3
    assert all((ROOT / "docs" / target).exists() for target in targets)
