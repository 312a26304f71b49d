import subprocess
import sys

import numpy as np
import pytest
import torch

import seqlight as sl
from seqlight.datasets.planted import IUPAC, MOTIFS, load_planted
from seqlight.formats.modisco_writer import write_modisco
from toy_genome import other_strand


def test_the_files_hold_what_was_given(tmp_path):
    X, hypothetical = sl.random_one_hot((3, 4, 50), random_state=0), torch.randn(3, 4, 50, requires_grad=True)
    X[1, :, 7] = 0
    files = write_modisco(tmp_path / "new", X, hypothetical)
    assert sorted(one.name for one in (tmp_path / "new").iterdir()) == ["ohe.npz", "shap.npz"]
    with np.load(files.sequences) as sequences, np.load(files.attributions) as attributions:
        assert sequences.files == attributions.files == ["arr_0"]
        np.testing.assert_array_equal(sequences["arr_0"], X.numpy())
        np.testing.assert_array_equal(attributions["arr_0"], hypothetical.detach().numpy())
        assert sequences["arr_0"].dtype == np.int8
        assert attributions["arr_0"].dtype == np.float32


def test_modisco_lite_loads_them(tmp_path):
    load = pytest.importorskip("modiscolite.cli")._load_input
    X = sl.random_one_hot((3, 4, 50), random_state=0)
    hypothetical = (X.double().numpy() - 0.5) / 3
    files = write_modisco(tmp_path, X, hypothetical)
    np.testing.assert_array_equal(load(files.sequences), X.numpy())
    np.testing.assert_allclose(load(files.attributions), hypothetical, rtol=1e-6)


def test_attributions_instead_of_hypothetical_ones_warn(tmp_path):
    X = sl.random_one_hot((3, 4, 50), random_state=0)
    with pytest.warns(sl.SeqlightWarning, match="not there.*hypothetical=True"):
        write_modisco(tmp_path, X, X * torch.randn(3, 4, 50))


@pytest.mark.parametrize(
    ("X", "hypothetical", "message"),
    [
        (torch.ones(2, 4, 9), torch.ones(2, 4, 9), "expected a single 1"),
        (torch.eye(5)[None], torch.ones(1, 5, 5), "X has 5 letters"),
        (torch.eye(4)[None], torch.ones(1, 4, 5), "expected the same"),
        (torch.eye(4)[None], "shap.npz", "hypothetical is a str"),
        (torch.eye(4)[None], torch.full((1, 4, 4), torch.inf), "NaN or infinity"),
    ],
)
def test_bad_calls(tmp_path, X, hypothetical, message):
    with pytest.raises(sl.InputError, match=message):
        write_modisco(tmp_path, X, hypothetical)
    assert not list(tmp_path.iterdir())


def planted_contributions(split, rng):
    """Each allowed letter of a site adds as much as its position is certain, others take away; with noise."""
    hypothetical = rng.normal(scale=0.05, size=split.X.shape).astype(np.float32)
    for row, start, _, motif in zip(*split.motifs, strict=True):
        for i, code in enumerate(list(MOTIFS.values())[motif]):
            allowed = np.isin(list("ACGT"), list(IUPAC[code]))
            hypothetical[row, :, start + i] += np.where(allowed, 1 / allowed.sum(), -0.5)
    return hypothetical


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_modisco_motifs_finds_the_planted_motifs(tmp_path):
    pytest.importorskip("modiscolite")
    h5py = pytest.importorskip("h5py")
    split = load_planted(n=1000, length=400, seed=0).train
    files = write_modisco(tmp_path, split.X, planted_contributions(split, np.random.RandomState(0)))
    command = "import modiscolite.cli; modiscolite.cli.cli()"
    told = ["-s", files.sequences, "-a", files.attributions, "-n", "2000", "-o", tmp_path / "out.h5"]
    subprocess.run([sys.executable, "-c", command, "motifs", *map(str, told)], check=True, timeout=550)
    with h5py.File(tmp_path / "out.h5") as out:
        patterns = [one["contrib_scores"][:] for one in out["pos_patterns"].values()]
    spelled = [
        "".join("ACGT"[i] if row[i] > 0.2 else "." for i, row in zip(p.argmax(1), p, strict=True)) for p in patterns
    ]
    for consensus in MOTIFS.values():
        assert any(holds(text, consensus) or holds(other_strand(text.replace(".", "N")), consensus) for text in spelled)


def holds(text, consensus):
    """Say whether somewhere in `text` each certain letter of the consensus stands, and no wrong one between."""
    return any(
        all(
            letter in IUPAC[code] if len(IUPAC[code]) == 1 else letter in (*IUPAC[code], ".", "N")
            for letter, code in zip(text[i:], consensus, strict=False)
        )
        for i in range(len(text) - len(consensus) + 1)
    )
