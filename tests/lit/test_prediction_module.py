from __future__ import annotations

from collections import namedtuple

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import seqlight as sl
from seqlight.lit import PredictModule, ShardedDataModule
from seqlight.lit.output_arrays import named_arrays
from small_memory import RowHog
from small_memory import _small_memory as _small_memory

Two = namedtuple("Two", "profile counts")
X = sl.random_one_hot((11, 4, 12), random_state=0)


class Net(nn.Module):
    def __init__(self, shape="tensor"):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv1d(4, 3, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Dropout(0.5), nn.Flatten())
        self.shape = shape

    def forward(self, X, shift=None):
        y = self.layers(X)
        y = y if shift is None else y + shift[:, None]
        return {
            "tensor": lambda: y,
            "tuple": lambda: (y, [y[:, 0], None]),
            "dict": lambda: {"profile": y, "more": {"counts": y.sum(1)}},
            "named": lambda: Two(y, y.sum(1)),
        }[self.shape]()


def predicted(trainer, module, data=X, **settings):
    found = trainer(**settings).predict(module, datamodule=ShardedDataModule(data, batch_size=4))
    parts = [named_arrays(one) for one in found]
    return {name: torch.cat([torch.from_numpy(part[name]) for part in parts]) for name in parts[0]}


@pytest.mark.parametrize(
    ("shape", "names"),
    [
        ("tensor", ["predictions"]),
        ("tuple", ["predictions.0", "predictions.1.0"]),
        ("dict", ["profile", "more.counts"]),
        ("named", ["profile", "counts"]),
    ],
)
def test_any_structure_of_outputs_equals_predict(trainer, shape, names):
    found = predicted(trainer, PredictModule(Net(shape)))
    expected = named_arrays(sl.predict(Net(shape), X, batch_size=4, device="cpu"))
    assert list(found) == names
    for name, one in found.items():
        assert torch.equal(one, torch.from_numpy(expected[name]))


def test_function_further_inputs_and_labels(trainer):
    shift, labels = torch.arange(11.0), torch.zeros(11, 7)
    expected = sl.predict(Net(), X, (shift,), func=lambda y: y.sum(1), device="cpu")
    module = PredictModule(Net(), func=lambda y: y.sum(1), inputs=2)
    torch.testing.assert_close(predicted(trainer, module, (X, shift, labels))["predictions"], expected)
    expected = sl.predict(Net(), X, device="cpu")
    torch.testing.assert_close(predicted(trainer, PredictModule(Net()), (X, labels))["predictions"], expected)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_dtype(trainer, dtype):
    model = Net()
    found = predicted(trainer, PredictModule(model, dtype=dtype))["predictions"]
    expected = sl.predict(Net(), X, dtype=dtype, batch_size=4, device="cpu")
    assert torch.equal(found, expected)
    assert {one.dtype for one in model.parameters()} == {torch.float32}


def test_the_precision_of_the_trainer(trainer):
    found = predicted(trainer, PredictModule(Net()), precision="64-true")["predictions"]
    torch.testing.assert_close(found, sl.predict(Net(), X, dtype="float64", device="cpu"))
    half = predicted(trainer, PredictModule(Net()), precision="bf16-mixed")["predictions"]
    torch.testing.assert_close(half, sl.predict(Net(), X, dtype="bfloat16", device="cpu").float())


def test_compiled_and_averaged_models(trainer):
    expected = sl.predict(Net(), X, batch_size=4, device="cpu")
    compiled = torch.compile(Net(), backend="eager")
    assert torch.equal(predicted(trainer, PredictModule(compiled))["predictions"], expected)
    averaged = AveragedModel(Net(), multi_avg_fn=get_ema_multi_avg_fn(0.9))
    assert torch.equal(predicted(trainer, PredictModule(averaged))["predictions"], expected)


def test_a_plain_dataloader_can_be_used(trainer):
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X), batch_size=4)
    found = torch.cat(trainer().predict(PredictModule(Net()), loader))
    torch.testing.assert_close(found, sl.predict(Net(), X, device="cpu"))


def test_by_name_with_a_checkpoint(trainer, tmp_path):
    torch.manual_seed(3)
    torch.save(nn.Conv1d(4, 2, 3).state_dict(), tmp_path / "a.pt")
    arguments = {"in_channels": 4, "out_channels": 2, "kernel_size": 3}
    module = PredictModule("torch.nn.Conv1d", checkpoint=tmp_path / "a.pt", arguments=arguments)
    torch.manual_seed(3)
    torch.testing.assert_close(predicted(trainer, module)["predictions"], nn.Conv1d(4, 2, 3)(X.float()).detach())


def test_arguments_that_are_refused():
    with pytest.raises(sl.InputError, match="dtype is 'float31'"):
        PredictModule(Net(), dtype="float31")
    with pytest.raises(sl.InputError, match="inputs is 0"):
        PredictModule(Net(), inputs=0)


def test_the_method_identifies_a_run():
    runs = [
        PredictModule(Net()),
        PredictModule(Net(), func=lambda y: y[0]),
        PredictModule(Net(), func=lambda y: y[1]),
        PredictModule(Net(), dtype="bfloat16"),
        PredictModule(Net(), inputs=2),
    ]
    assert len({str(one.method()) for one in runs}) == len(runs)


@pytest.mark.reliability("numbers and ids", "token ids in a run on many devices", "the ids themselves are read")
def test_ids_stay_integers_in_all_batches_and_one_hot_inputs_are_converted(trainer):
    table = nn.Embedding(400, 2).bfloat16()
    ids = torch.arange(389, 400).unsqueeze(1)
    (found,) = predicted(trainer, PredictModule(table), ids).values()
    assert torch.equal(found.bfloat16(), table.weight.detach()[389:400].unsqueeze(1))
    later = X.clone()
    later[9, 0, 0] = 2
    with pytest.raises(sl.InputError, match="a batch of X holds integers that are not one-hot, and the first one was"):
        predicted(trainer, PredictModule(Net()), later)


@pytest.mark.reliability(
    "rows of a batch",
    "a run of a model whose rows depend on each other, or on chance",
    "a warning that names the operation, once",
)
@pytest.mark.parametrize(
    ("function", "operation"), [(lambda y: y.softmax(0), "softmax"), (lambda y: y + torch.rand_like(y), "rand_like")]
)
def test_a_warning_if_rows_depend_on_each_other(trainer, function, operation):
    class Mixing(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, X):
            self.calls += 1
            return function(X.flatten(1))

    module = PredictModule(Mixing())
    torch.manual_seed(0)
    with pytest.warns(
        sl.BatchWarning, match=f"changes with the other rows of its batch: .* first at `{operation}`"
    ) as caught:
        found = predicted(trainer, module)
    assert sum(issubclass(one.category, sl.BatchWarning) for one in caught) == 1
    assert module.model.calls == 3  # what is asked is asked of a borrowed model
    torch.manual_seed(0)
    wanted = torch.cat([function(batch.float().flatten(1)) for batch in X.split(4)])
    assert torch.equal(next(iter(found.values())), wanted)


def test_no_warning_if_rows_are_independent(trainer):
    predicted(trainer, PredictModule(Net()))  # a warning is an error here


@pytest.mark.reliability(
    "accelerators",
    "a run for which memory runs out in the middle",
    "it goes on in smaller batches, with the same results and one warning that names the size that worked",
)
@pytest.mark.parametrize("shape", ["tensor", "tuple", "dict", "named"])
def test_a_run_is_the_same_where_memory_runs_out(shape, small_memory, tmp_path):
    quiet = {"accelerator": "cpu", "progress": False}
    expected = sl.run(Net(shape), X, tmp_path / "whole", **quiet)
    memory = small_memory(3)
    with pytest.warns(
        sl.MemoryWarning, match="a batch of 8 rows needs more memory than cpu has: 2 at a time"
    ) as caught:
        found = sl.run(RowHog(Net(shape), memory), X, tmp_path / "parts", batch_size=8, **quiet)
    assert len([one for one in caught if one.category is sl.MemoryWarning]) == 1
    assert list(found) == list(expected)
    for name in expected:
        assert found[name].shape == expected[name].shape
        torch.testing.assert_close(torch.from_numpy(found[name][:]), torch.from_numpy(expected[name][:]))
    assert memory.asked[:4] == [8, 4, 2, 2]


def test_a_run_learns_how_many_rows_fit(small_memory, tmp_path):
    rows, quiet = X.repeat(400, 1, 1), {"accelerator": "cpu", "progress": False}
    memory = small_memory(1000)
    found = sl.run(RowHog(Net(), memory), rows, tmp_path, **quiet)
    torch.testing.assert_close(torch.from_numpy(found["predictions"][:]), sl.predict(Net(), rows, device="cpu"))
    # A shard of this run has 160 rows, which the module gets at once; two rows check that they do not mix.
    assert [n for n in memory.asked if n > 2][:4] == [32, 128, 160, 160]
