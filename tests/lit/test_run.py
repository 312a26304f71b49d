"""Runs in a single process; for several see test_processes.py."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight.lit import DeepLiftShapModule, PredictModule, ShardedDataModule
from seqlight.lit.run import _choose_strategy

X = sl.random_one_hot((11, 4, 12), random_state=0)
QUIET = {"accelerator": "cpu", "progress": False}


def linear():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 3), nn.Dropout(0.5)).double()


@pytest.mark.parametrize("rows", [0, 1, 5, 7])
@pytest.mark.parametrize("batch_size", [1, 3, 32])
@pytest.mark.parametrize("workers", [0, 1])
def test_every_row_once_and_in_order(tmp_path, rows, batch_size, workers):
    X = torch.arange(rows * 8.0, dtype=torch.float64).reshape(rows, 8)
    found = sl.run(nn.Identity(), X, tmp_path, batch_size=batch_size, workers=workers, **QUIET)
    assert len(found) == rows
    if rows:
        np.testing.assert_array_equal(found["predictions"], X)


def test_a_plain_model_predicts(tmp_path):
    expected = sl.predict(linear(), X, device="cpu")
    for n, module in enumerate((linear(), PredictModule(linear()))):
        np.testing.assert_allclose(sl.run(module, X, tmp_path / str(n), **QUIET)["predictions"], expected, atol=1e-12)


def test_attributions(tmp_path):
    X = sl.random_one_hot((11, 4, 30), random_state=0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(120, 3), nn.Softmax(dim=1)).double()
    expected = sl.deep_lift_shap(model, X, target=2, random_state=7, device="cpu")
    module = DeepLiftShapModule(model, target=2, random_state=7)
    found = sl.run(module, ShardedDataModule(X, batch_size=4), tmp_path, **QUIET)
    np.testing.assert_allclose(found["attributions"], expected, atol=1e-12)


@pytest.mark.parametrize("module", [DeepLiftShapModule, PredictModule])
def test_tf32_belongs_in_the_module(module, tmp_path):
    with pytest.raises(sl.InputError, match=r'give it to the module, DeepLiftShapModule\(model, precision="tf32"\)'):
        sl.run(module(linear()), X, tmp_path / "out", precision="tf32", **QUIET)
    with pytest.raises(sl.InputError, match=r"Lightning's Trainer refuses its arguments \(.*'high'"):
        sl.run(module(linear()), X, tmp_path / "out", precision="high", **QUIET)


@pytest.mark.parametrize("precision", [None, "bf16-true"])
def test_the_model_is_given_back(tmp_path, precision):
    model = linear().float().train()
    model[1].bias.requires_grad_(False)
    before = {name: one.clone() for name, one in model.state_dict().items()}
    kept = list(model.parameters())
    generator = torch.get_rng_state()
    sl.run(model, X, tmp_path, precision=precision, **QUIET)
    assert all(one is other for one, other in zip(model.parameters(), kept, strict=True))
    assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())
    assert model.training
    assert model[2].training
    assert [one.requires_grad for one in kept] == [True, False]
    assert torch.equal(torch.get_rng_state(), generator)

    class Fails(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self, X):
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        sl.run(Fails(), X, tmp_path / "fails", precision=precision, **QUIET)
    assert model.training
    assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())


def test_a_progress_bar_and_a_line_for_the_process(tmp_path, capsys, caplog):
    with caplog.at_level(logging.INFO, "seqlight"):
        sl.run(linear(), X, tmp_path, accelerator="cpu", batch_size=2)
    shown = capsys.readouterr().err
    assert "process 0: 100%" in shown
    assert "11/11" in shown
    assert "rows/s" in shown
    assert [one.getMessage()[:27] for one in caplog.records if one.name == "seqlight"] == [
        "process 0 of 1 on cpu: 11 r"
    ]
    assert not logging.getLogger("seqlight").handlers


def test_without_progress_nothing_is_printed(tmp_path, capfd):
    sl.run(linear(), X, tmp_path, **QUIET)
    shown = capfd.readouterr()
    assert shown.out == ""
    assert [line for line in shown.err.splitlines() if "FutureWarning" not in line] == []


def test_nothing_is_written_elsewhere(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    sl.run(linear(), X, tmp_path / "out", **QUIET)
    assert not list((tmp_path / "here").iterdir())
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == [".locks", "manifest.json", "shard-000000.npz"]


@pytest.mark.reliability(
    "accelerators",
    "run in a test, on a machine with several GPUs, all of which it takes by default",
    "it spawns its processes, instead of starting all tests again in each",
)
def test_pytest_is_not_started_again(monkeypatch):
    for gpus in (0, 1, 2):
        monkeypatch.setattr("torch.cuda.device_count", lambda gpus=gpus: gpus)
        all_of_them = "ddp_spawn" if gpus > 1 else "auto"
        assert [_choose_strategy("auto", one) for one in (2, "2", [0, 1], "0,1")] == ["ddp_spawn"] * 4
        assert [_choose_strategy("auto", one) for one in (1, "1", [1], "1,")] == ["auto"] * 4
        assert [_choose_strategy("auto", one) for one in ("auto", -1, "-1")] == [all_of_them] * 3
        assert _choose_strategy("auto", "auto", "cpu") == "auto"
        assert _choose_strategy("ddp", 2) == "ddp"


def test_modules_and_data_that_are_refused(tmp_path):
    with pytest.raises(sl.InputError, match="model is a function"):
        sl.run(lambda X: X, X, tmp_path, **QUIET)
    with pytest.raises(sl.InputError, match="cannot be indexed by number"):
        sl.run(linear(), iter(X), tmp_path, **QUIET)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("peaks.bed", r"the data is 'peaks.bed': expected .* GenomeDataset"),
        (["ACGT", "TTTT"], r"the data is a list of strings?: expected tensors; use one_hot_encode"),
    ],
)
def test_files_and_strings_are_refused_as_data(tmp_path, data, message):
    with pytest.raises(sl.InputError, match=message):
        sl.run(linear(), data, tmp_path / "out", **QUIET)
    assert not (tmp_path / "out").exists()


def test_arguments_of_modules_are_refused(tmp_path):
    with pytest.raises(sl.InputError, match=r"'target': give it to the module, DeepLiftShapModule\(model, target="):
        sl.run(linear(), X, tmp_path, target=0, **QUIET)
    with pytest.raises(sl.InputError, match="run has no argument 'batchsize', and neither has"):
        sl.run(linear(), X, tmp_path, batchsize=2, **QUIET)


def test_a_run_that_failed_at_once_can_be_repeated_in_its_folder(tmp_path):
    X = sl.random_one_hot((3, 4, 30), random_state=0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(120, 3))
    with pytest.raises(sl.InputError, match="target is 9"):
        sl.run(DeepLiftShapModule(model, target=9, n_shuffles=5), X, tmp_path, **QUIET)
    assert sl.run(DeepLiftShapModule(model, n_shuffles=5), X, tmp_path, **QUIET)["attributions"].shape == X.shape


def target_of(source):
    scope = {"torch": torch}
    exec(source, scope)
    return scope["target"]


@pytest.mark.reliability(
    "runs begun again",
    "a run into the folder of one whose target or model was edited since",
    "refused, saying what differs",
)
@pytest.mark.parametrize(
    ("source", "old", "new"),
    [
        ("target = lambda y: sum(y[:, i] for i in [0])", "0", "1"),
        ("I = 0\ndef target(y): return y[:, I]", "0", "1"),
        ("class T:\n    def __call__(self, y): return y[:, 0]\ntarget = T()", "0", "1"),
        (
            "class T:\n    def __call__(self, y): return y[:, self.i]\ntarget = T()\ntarget.i = 1",
            "= 1",
            "= 2",
        ),
        ("def target(y, *, i=0): return y[:, i]", "0", "1"),
    ],
)
def test_a_folder_of_another_target_is_refused(tmp_path, source, old, new):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(40, 3))
    quiet = {"out": tmp_path, "accelerator": "cpu", "progress": False}
    rows = sl.random_one_hot((2, 4, 10), random_state=0)

    def of(text):
        return DeepLiftShapModule(model, target=target_of(text), n_shuffles=2)

    found = sl.run(of(source), rows, **quiet)["attributions"][:]
    assert (sl.run(of(source), rows, **quiet)["attributions"][:] == found).all()
    with pytest.raises(sl.ResultsError, match=r"holds another run: it differs in method target \("):
        sl.run(of(source.replace(old, new)), rows, **quiet)


@pytest.mark.reliability(
    "runs",
    "a run in float32 that is started again in TF32, which is some percent off on a GPU, and the other way round",
    "refused, with both precisions: no folder holds rows of both",
)
def test_a_folder_of_another_precision_is_refused(tmp_path):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(40, 3))
    rows, quiet = sl.random_one_hot((2, 4, 10), random_state=0), {"accelerator": "cpu", "progress": False}
    jobs = {one: DeepLiftShapModule(model, n_shuffles=2, precision=one) for one in (None, "tf32")}
    for one, job in jobs.items():
        sl.run(job, rows, out=tmp_path / str(one), **quiet)
    assert sl.open_results(tmp_path / "None").manifest.method["precision"] == "32-true"  # as in earlier folders
    for one, other in ((None, "tf32"), ("tf32", None)):
        with pytest.raises(sl.ResultsError, match=r"differs in method precision \('32-true.* here, '32-true.* there\)"):
            sl.run(jobs[other], rows, out=tmp_path / str(one), **quiet)


class Edited(torch.nn.Module):
    def __init__(self, scale=1.0, mask=1.0):
        super().__init__()
        self.scale = scale
        self.register_buffer("mask", torch.full((1,), mask), persistent=False)

    def forward(self, X):
        return X.sum((1, 2)) * self.scale * self.mask


@pytest.mark.reliability(
    "runs begun again",
    "a model with another plain attribute, unsaved buffer or forward",
    "refused, saying what differs",
)
def test_a_folder_of_an_edited_model_is_refused(tmp_path, monkeypatch):
    quiet = {"out": tmp_path, "accelerator": "cpu", "progress": False}
    sl.run(Edited(), X, **quiet)
    sl.run(Edited(), X, **quiet)
    with pytest.raises(
        sl.ResultsError, match=r"it differs in model attributes scale \('2.0' here, '1.0' there\)\. Give"
    ):
        sl.run(Edited(scale=2.0), X, **quiet)
    with pytest.raises(sl.ResultsError, match=r"it differs in model weights \("):
        sl.run(Edited(mask=2.0), X, **quiet)
    monkeypatch.setattr(Edited, "forward", lambda self, X: X.sum((1, 2)))
    with pytest.raises(sl.ResultsError, match=r"it differs in model code .*Edited \("):
        sl.run(Edited(), X, **quiet)


@pytest.mark.reliability(
    "runs begun again", "a target that nobody can describe, named with identity=", "goes on under the same name alone"
)
def test_identity_names_what_cannot_be_described(tmp_path):
    quiet = {"out": tmp_path, "accelerator": "cpu", "progress": False}
    rows = (n for n in range(3))
    module = PredictModule(Edited(), func=lambda y: y if rows else None)
    with pytest.raises(sl.InputError, match=r"variable 'rows' in func is a generator"):
        sl.run(module, X, **quiet)
    sl.run(module, X, identity="mine, version 1", **quiet)
    assert module.identity is None
    sl.run(PredictModule(Edited(scale=2.0), func=module.func, identity="mine, version 1"), X, **quiet)
    with pytest.raises(sl.ResultsError, match=r"model identity \('mine, version 2' here, 'mine, version 1' there\)"):
        sl.run(module, X, identity="mine, version 2", **quiet)
    with pytest.raises(sl.InputError, match="identity is 3: expected a name for what is computed"):
        sl.run(module, X, identity=3, **quiet)


class Rotated(nn.Module):
    """Caches its angles by the length of the input, as rotary embeddings do."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.length, self.angles, self.by_length = 0, None, {}

    def forward(self, X):
        if X.shape[-1] > self.length:
            self.length = X.shape[-1]
            self.angles = self.by_length[self.length] = torch.arange(self.length) / 10
        return (X * self.by_length[self.length].cos() * self.scale + self.angles.sin()).sum(-1)


@pytest.mark.reliability("runs begun again", "a model with a cache, again in the same process", "the run goes on")
def test_a_run_of_a_model_with_a_cache_continues(tmp_path):
    model = Rotated()
    first = sl.run(model, X, tmp_path, shard_rows=4, **QUIET)["predictions"][:]
    assert (model.length, model.angles, model.by_length) == (0, None, {})
    next(tmp_path.glob("shard-*")).unlink()
    np.testing.assert_array_equal(sl.run(model, X, tmp_path, shard_rows=4, **QUIET)["predictions"][:], first)


def test_a_cache_filled_by_an_earlier_call_is_reported(tmp_path):
    sl.run(Rotated(), X, tmp_path, **QUIET)
    model = Rotated()
    sl.predict(model, X, device="cpu")
    with pytest.raises(
        sl.ResultsError,
        match=r"attributes angles .* left that on .*, make the model anew, and run",
    ):
        sl.run(model, X, tmp_path, **QUIET)
    sl.run(Rotated(), X, tmp_path, **QUIET)


@pytest.mark.reliability(
    "runs", "a lambda as target, for processes that are spawned and so need all of it pickled", "an error that says so"
)
def test_what_cannot_be_sent_to_other_processes_is_told(tmp_path):
    job = DeepLiftShapModule(linear(), target=lambda y: y[:, 0])
    settings = {"accelerator": "cpu", "devices": 2, "strategy": "ddp_spawn", "progress": False}
    with pytest.raises(sl.InputError, match=r"not all of it can be pickled \(Can't pickle .*lambda.*a name, such as"):
        sl.run(job, X, tmp_path, **settings)
