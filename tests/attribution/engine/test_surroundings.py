"""What hides operations is switched off for as long as it takes, and no longer."""

import pytest
import torch
from torch import nn
from torch.utils import checkpoint

from seqlight.attribution.engine.surroundings import open_to_view, refuse_hidden
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
    with open_to_view(nn.Identity()):
        assert torch.equal(run(), expected)
        assert len(calls) == 3
    run()
    assert len(calls) == 5


def test_checkpoints_come_back_after_an_error():
    before = checkpoint.CheckpointFunction, checkpoint._checkpoint_without_reentrant_generator

    def fail():
        with open_to_view(nn.Identity()):
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

    model = torch.compile(nn.Tanh(), backend=backend)
    with pytest.warns(SeqlightWarning, match="the model is compiled"), open_to_view(model):
        model(torch.ones(2))
    assert seen == []
    model(torch.ones(2))
    assert len(seen) == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_cannot_be_seen_is_refused_by_name():
    refuse_hidden(nn.Sequential(nn.ReLU()))
    with pytest.raises(UnsupportedOperation, match="module '0' is a ScriptModule"):
        refuse_hidden(nn.Sequential(torch.jit.script(nn.ReLU())))
    with pytest.raises(UnsupportedOperation, match="the model is a ScriptModule"):
        refuse_hidden(torch.jit.trace(nn.ReLU(), torch.ones(2)))
