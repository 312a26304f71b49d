"""Whatever hides operations from a mode is switched off inside, and restored."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils import checkpoint

import seqlight as sl
from seqlight.attribution.engine.visibility import make_visible, refuse_hidden
from seqlight.errors import SeqlightWarning, UnsupportedOperation


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointed_blocks_run_once(reentrant):
    calls = []

    def block(x, times=1):
        calls.append(x)
        return x.sin() * times

    def run():
        x = torch.ones(3, requires_grad=True)
        checkpoint.checkpoint(block, x, use_reentrant=reentrant).sum().backward()
        return x.grad

    expected = run()
    assert len(calls) == 2
    with make_visible(nn.Identity()):
        assert torch.equal(run(), expected)
        assert len(calls) == 3
    run()
    assert len(calls) == 5


def test_checkpoints_come_back_after_an_error():
    before = checkpoint.CheckpointFunction, checkpoint._checkpoint_without_reentrant_generator

    def fail():
        with make_visible(nn.Identity()):
            assert checkpoint.CheckpointFunction is not before[0]
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert before == (checkpoint.CheckpointFunction, checkpoint._checkpoint_without_reentrant_generator)


def test_compiled_modules_run_as_written():
    seen = []

    def backend(graph, inputs):
        seen.append(graph)
        return graph.forward

    torch._dynamo.reset()  # after several backends for one kind of module PyTorch compiles no more of it
    model = torch.compile(nn.Tanh(), backend=backend)
    with pytest.warns(SeqlightWarning, match="the model is compiled"), make_visible(model):
        model(torch.ones(2))
    assert seen == []
    model(torch.ones(2))
    assert len(seen) == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_hidden_operations_are_refused_by_name():
    refuse_hidden(nn.Sequential(nn.ReLU()))
    with pytest.raises(UnsupportedOperation, match="module '0' is a ScriptModule"):
        refuse_hidden(nn.Sequential(torch.jit.script(nn.ReLU())))
    with pytest.raises(UnsupportedOperation, match="the model is a ScriptModule"):
        refuse_hidden(torch.jit.trace(nn.ReLU(), torch.ones(2)))


class Exported(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.norm, self.pool = nn.Conv1d(4, 16, 5, padding=2), nn.BatchNorm1d(16), nn.MaxPool1d(2)
        self.mix = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, activation="gelu")
        self.last = nn.Linear(16, 1)

    def forward(self, X):
        y = self.mix(self.pool(F.silu(self.norm(self.stem(X)))).mT)
        y = F.leaky_relu(F.elu(y))
        return self.last((y.softmax(1) * y).sum(1))


@pytest.mark.reliability(
    "models of other formats",
    "a program of torch.export, alone or as a part",
    "explained as the model it was made from",
)
def test_exported_programs_are_explained_like_the_original_model():
    model, X = Exported().eval(), sl.random_one_hot((3, 4, 40), random_state=0).float()
    program = torch.export.export(model, (X,), dynamic_shapes=({0: torch.export.Dim("rows")},)).module()
    if "aten.view.default(permute" in program.code:
        pytest.skip("older PyTorch exports attention for the memory layout of its own kernel alone, and says so")
    settings = {"n_shuffles": 3, "device": "cpu", "random_state": 0}
    wanted = sl.deep_lift_shap(model, X, **settings)
    for one in (program, nn.Sequential(program)):
        found = sl.deep_lift_shap(one, X, **settings)
        assert float((found - wanted).abs().max()) <= 1e-5 * float(wanted.abs().max())
        torch.testing.assert_close(sl.predict(one, X, device="cpu"), sl.predict(model, X, device="cpu"))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.fft.rfft(x).abs(),
        lambda x: abs(torch.fft.rfft(x)) ** 2,
        lambda x: torch.absolute(input=torch.fft.rfft(x)),
        lambda x: torch.ops.aten.gelu(torch.ops.aten.elu(x, 1.0, 1.0, 2.0), approximate="tanh"),
        lambda x: torch.ops.aten.silu.default(x.abs()),
    ],
)
@pytest.mark.reliability("attribution", "magnitudes of a Fourier transform, operators of aten", "complete sums")
def test_magnitudes_and_operators_are_complete(function):
    class Between(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.stem = nn.Conv1d(4, 8, 5, padding=2)

        def forward(self, X):
            return function(self.stem(X)).flatten(1).mean(1, keepdim=True)

    X = sl.random_one_hot((2, 4, 40), random_state=0).float()
    found = sl.deep_lift_shap(Between(), X, n_shuffles=3, device="cpu", random_state=0, dtype="float64")
    assert found.isfinite().all()
