from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
import torch

import seqlight as sl
from seqlight.cli.main import main
from toy_genome import one_hot, window, write_genome

MODEL = """
import torch

class Net(torch.nn.Module):
    def __init__(self, width: int = 3):
        super().__init__()
        self.conv = torch.nn.Conv1d(4, width, 5, padding=2)
        self.head = torch.nn.Linear(width, 2)

    def forward(self, x):
        return self.head(self.conv(x).relu().mean(dim=2))

class Rows(torch.utils.data.Dataset):
    def __init__(self, n: int):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return torch.eye(4)[torch.arange(i, i + 12) % 4].T.to(torch.int8)
"""
LENGTH = 30


@pytest.fixture
def folder(tmp_path, monkeypatch, genome):
    """A folder with a model, its weights, a genome and regions, which is the current one."""
    monkeypatch.setattr("sys.path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own_net.py").write_text(MODEL)
    sys.modules.pop("own_net", None)
    import own_net

    for k in range(2):
        torch.manual_seed(k)
        torch.save(own_net.Net().state_dict(), tmp_path / f"fold{k}.pt")
    write_genome(tmp_path / "toy.fa", genome)
    (tmp_path / "peaks.bed").write_text("chr1\t10\t40\tfirst\nchr2\t100\t130\tsecond\nchr1\t150\t180\tthird\n")
    yield tmp_path
    sys.modules.pop("own_net", None)


def run(command, *words, model="own_net.Net", checkpoint="fold0.pt"):
    weights = ["--checkpoint", *checkpoint.split()] if checkpoint else []
    main([command, "--model", model, *weights, "--accelerator", "cpu", "--devices", "1", "--quiet", *words])


def network(k=0):
    import own_net

    found = own_net.Net()
    found.load_state_dict(torch.load(f"fold{k}.pt"))
    return found.eval()


@pytest.fixture
def X(genome):
    regions = [("chr1", 10, 40), ("chr2", 100, 130), ("chr1", 150, 180)]
    return torch.tensor([one_hot(window(genome, *one)) for one in regions], dtype=torch.int8)


def test_regions_of_a_genome(folder, X, capsys):
    before = {path.name for path in folder.iterdir()}
    run("attribute", "--data", "peaks.bed", "--genome", "toy.fa", "--out", "found", "--to", "npz", "bed")
    results = sl.open_results("found")
    expected = sl.deep_lift_shap(network(), X, random_state=0, device="cpu")
    np.testing.assert_allclose(results["attributions"][:], expected, atol=1e-6)
    np.testing.assert_array_equal(results["sequences"][:], X)
    assert list(results.loci.chrom) == ["chr1", "chr2", "chr1"]
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "Results of 3 rows in found"
    assert "npz: found/attributions.npz" in out
    assert "bed: found/loci.bed" in out
    assert out[-1] == "next: seqlight seqlets found; seqlight report found"
    # Nothing is written elsewhere: no index beside the genome, no logs.
    assert {path.name for path in folder.iterdir()} - before - {"__pycache__"} == {"found"}


def test_targets_by_name_and_of_a_class(folder, X):
    for n, words in enumerate(
        (
            ["--target", "contrast(1, 0)"],
            [
                "--target.class_path",
                "seqlight.targets.Contrast",
                "--target.init_args.a",
                "1",
                "--target.init_args.b",
                "0",
            ],
        )
    ):
        run("attribute", "--data", "peaks.bed", "--genome", "toy.fa", "--out", f"out{n}", "--n-shuffles", "3", *words)
        expected = sl.deep_lift_shap(network(), X, target=sl.Contrast(1, 0), n_shuffles=3, random_state=0, device="cpu")
        np.testing.assert_allclose(sl.open_results(f"out{n}")["attributions"][:], expected, atol=1e-6)
    run("predict", "--data", "peaks.bed", "--genome", "toy.fa", "--out", "column", "--target", "1", "--to", "tsv")
    with torch.no_grad():
        expected = network()(X.float())[:, 1]
    np.testing.assert_allclose(sl.open_results("column")["predictions"][:], expected, atol=1e-6)
    table = pd.read_csv(folder / "column" / "predictions.tsv", sep="\t")
    np.testing.assert_allclose(table["predictions"], expected, atol=1e-5)


def test_several_checkpoints_are_an_ensemble(folder, X):
    words = ["--data", "peaks.bed", "--genome", "toy.fa", "--out", "folds", "--n-shuffles", "4", "--strands", "both"]
    run("attribute", *words, checkpoint="fold0.pt fold1.pt")
    found = sl.open_results("folds")
    expected = sl.attribute(
        sl.Ensemble([network(0), network(1)], "both"), X, n_shuffles=4, random_state=0, device="cpu"
    )
    np.testing.assert_allclose(found["attributions"][:], expected.attributions, atol=1e-6)
    np.testing.assert_allclose(found["spread_over_folds"][:], expected.spread_over_folds, atol=1e-6)
    np.testing.assert_allclose(found["spread_over_strands"][:], expected.spread_over_strands, atol=1e-6)


def test_a_control_of_shuffled_sequences(folder, X):
    words = ["--data", "peaks.bed", "--genome", "toy.fa", "--n-shuffles", "3"]
    run("attribute", *words, "--out", "control", "--shuffled")
    found = sl.open_results("control")
    expected = sl.shuffled_control(network(), X, random_state=0, n_shuffles=3, device="cpu")
    np.testing.assert_allclose(found["attributions"][:].sum(axis=1), expected, atol=1e-6)
    assert found.loci is None


def test_a_data_set_of_any_package(folder, capsys):
    words = ["--data.class_path", "own_net.Rows", "--data.init_args.n", "5"]
    run("predict", *words, "--out", "rows")
    assert sl.open_results("rows")["predictions"].shape == (5, 2)
    for words, says in (
        (["--data.class_path", "own_net.Rows"], "init_args of own_net.Rows cannot be used"),
        (["--data.class_path", "own_net.Lines"], "which is not found"),
        (["--data.init_args.n", "5"], "expected class_path"),
    ):
        with pytest.raises(SystemExit) as end:
            run("predict", *words, "--out", "no")
        assert end.value.code == 1
        assert says in capsys.readouterr().err
    assert not (folder / "no").exists()


def test_a_model_of_a_file_with_arguments(folder, capsys):
    (folder / "run.yaml").write_text(
        "model: {class_path: own_net.Net, init_args: {width: 3}}\ncheckpoint: fold0.pt\ndata: peaks.bed\n"
        "genome: toy.fa\nout: found\naccelerator: cpu\ndevices: 1\nquiet: true\n"
    )
    main(["predict", "--config", "run.yaml"])
    assert len(sl.open_results("found")) == 3
    with pytest.raises(SystemExit):
        main(["predict", "--config", "run.yaml", "--out", "wide", "--model.init_args.width", "4"])
    assert "fold0.pt is of another model" in capsys.readouterr().err


@pytest.mark.reliability(
    "command line",
    "a model that these data do not fit, that fails by itself, or whose arguments are of another type",
    "one line with the error of the model, and where to look",
)
def test_models_that_fail(folder, capsys):
    (folder / "failing.py").write_text(
        "import torch\n"
        "class Fixed(torch.nn.Linear):\n"
        "    def forward(self, x):\n"
        "        return super().forward(x.flatten(1))\n"
        "class Two(torch.nn.Module):\n"
        "    def forward(self, x, cell):\n"
        "        return x\n"
    )
    data = ["--data", "peaks.bed", "--genome", "toy.fa", "--out", "out"]
    fixed = ["--init-args", "in_features=40"]
    for name, command, words, says in (
        ("Fixed", "attribute", [*fixed, "out_features=1"], "cannot be called with these data (RuntimeError: mat1 and"),
        ("Two", "predict", [], "cannot be called with these data (TypeError: Two.forward() missing 1"),
        ("Fixed", "predict", [*fixed, "out_features=many"], "failing.Fixed cannot be made (TypeError: empty()"),
    ):
        with pytest.raises(SystemExit) as end:
            run(command, *data, *words, model=f"failing.{name}", checkpoint=None)
        assert end.value.code == 1
        shown = capsys.readouterr().err
        assert says in shown
        assert "Traceback" not in shown
    sys.modules.pop("failing", None)


@pytest.mark.reliability(
    "command line",
    "a model without a checkpoint, in several processes or started again",
    "the same weights each time, and a line that says so",
)
def test_without_a_checkpoint_weights_are_those_of_the_class(folder, capsys):
    words = ["--data", "peaks.bed", "--genome", "toy.fa"]
    for out in ("one", "two", "one"):
        torch.manual_seed(len(out))
        state = torch.random.get_rng_state()
        run("predict", *words, "--out", out, checkpoint=None)
        assert torch.equal(torch.random.get_rng_state(), state)
    assert capsys.readouterr().err.count("there is no --checkpoint") == 3
    np.testing.assert_array_equal(sl.open_results("one")["predictions"][:], sl.open_results("two")["predictions"][:])


@pytest.mark.reliability(
    "command line",
    "an --out with another run, a file as --out, a format that does not exist or that the data cannot be written in",
    "one line before anything is computed, and what was there stays",
)
def test_what_is_refused(folder, capsys):
    data = ["--data", "peaks.bed", "--genome", "toy.fa"]
    run("predict", *data, "--out", "found")
    np.save(folder / "X.npy", np.zeros((2, 4, 12), np.int8))
    (folder / "a file").write_text("mine")
    kept = {path.name: path.read_bytes() for path in (folder / "found").glob("*.*") if path.is_file()}
    for command, words, says in (
        ("attribute", [*data, "--out", "found"], "found holds another run"),
        ("predict", [*data, "--out", "a file"], "is a file"),
        ("predict", [*data, "--out", "no", "--to", "npzz"], "there is no format 'npzz'"),
        ("attribute", [*data, "--out", "no", "--to", "modisco"], "add --hypothetical"),
        ("attribute", ["--data", "X.npy", "--out", "no", "--to", "npz,bigwig"], "--to bigwig needs places in a genome"),
        ("attribute", [*data, "--out", "no", "--to", "fasta", "--keep", "spread"], "name them in --keep too"),
        ("attribute", [*data, "--out", "no", "--keep", "hypothetical"], "--hypothetical when typed"),
        ("predict", [*data, "--out", "no", "--to", "fasta"], "--to fasta is for attributions"),
        ("predict", ["--data", "peaks.bed", "--out", "no"], "expected the genome's FASTA file as --genome"),
        ("predict", [*data, "--out", "no", "--target", "contrst"], "contrst"),
    ):
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            run(command, *words)
        (said,) = capsys.readouterr().err.splitlines()
        assert end.value.code == 1
        assert says in said
    assert {path.name: path.read_bytes() for path in (folder / "found").glob("*.*") if path.is_file()} == kept
    assert (folder / "a file").read_text() == "mine"
    assert not (folder / "no").exists()


def test_the_ledger_of_layers(folder, X, capsys):
    job = ["attribute", "--data", "peaks.bed", "--genome", "toy.fa", "--n-shuffles", "3"]
    run(*job, "--layers", "all", "--out", "whole")
    assert "ledger: whole/ledger.tsv" in capsys.readouterr().out.splitlines()
    expected = sl.attribute(network(), X, layers=True, n_shuffles=3, random_state=0, device="cpu").ledger
    table = pd.read_csv("whole/ledger.tsv", sep="\t", keep_default_na=False)
    pd.testing.assert_frame_equal(table, expected, rtol=1e-5, atol=1e-6)
    for names in ("conv", "conv head"):
        out = names.replace(" ", "_")
        run(*job, "--layers", *names.split(), "--out", out)
        found = sl.open_results(out)
        assert found["layer_conv"].shape == (3, 3, LENGTH)
        assert found.ledger["layer"].tolist() == names.split()


def test_layers_of_a_configuration_and_those_that_are_none(folder, capsys):
    (folder / "attribute.yaml").write_text("layers: true\nn_shuffles: 2\ndata: peaks.bed\ngenome: toy.fa\n")
    run("attribute", "--config", "attribute.yaml", "--out", "out")
    assert sl.open_results("out").manifest.method["layers"] is True
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        run("attribute", "--config", "attribute.yaml", "--layers", "body", "--out", "other")
    assert stop.value.code != 0
    assert (
        "layers names 'body', which is no module of the model: its modules are 'conv', 'head'"
        in capsys.readouterr().err
    )
    assert not (folder / "other").exists()
