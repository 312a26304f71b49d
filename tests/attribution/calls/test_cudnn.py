"""cuDNN is switched off and on again, whatever a program has set for TF32."""

import contextlib
import threading

import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight.attribution.calls.cudnn import WITHOUT_CUDNN

OPERATIONS = [("cuda", "all"), ("cuda", "conv"), ("cuda", "rnn"), ("cuda", "matmul"), ("generic", "all")]


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.steps, self.last = nn.LSTM(4, 3, batch_first=True), nn.Linear(3, 1)

    def forward(self, X):
        states = self.steps(X.mT)[0][:, -1]
        return self.last(torch.special.xlog1py(states, states.exp()))  # of two that depend on the input: integrated


@contextlib.contextmanager
def precision_set(operation, precision):
    before = [torch._C._get_fp32_precision_getter(*one) for one in OPERATIONS]
    torch._C._set_fp32_precision_setter(*operation, precision)
    try:
        yield
    finally:
        for one, value in zip(OPERATIONS, before, strict=True):
            torch._C._set_fp32_precision_setter(*one, value)


@pytest.mark.reliability(
    "settings of PyTorch",
    "TF32 switched off (or on) by fp32_precision, for all operations or one kind",
    "recurrent and integrated operations are explained, and the settings stay",
)
@pytest.mark.skipif(not hasattr(torch._C, "_get_fp32_precision_getter"), reason="older settings alone")
@pytest.mark.filterwarnings("ignore::seqlight.errors.IntegratedWarning")
@pytest.mark.parametrize("precision", ["ieee", "tf32"])
@pytest.mark.parametrize("operation", OPERATIONS, ids="-".join)
def test_fp32_precision_is_left_as_it_was(operation, precision):
    model, X = Recurrent(), sl.random_one_hot((2, 4, 12), random_state=0).float()
    with precision_set(operation, precision):
        settings = [torch._C._get_fp32_precision_getter(*one) for one in OPERATIONS]
        for find in (sl.deep_lift_shap, sl.integrated_gradients):
            found = find(model, X, n_shuffles=2, random_state=0, device="cpu")
            assert getattr(found, "attributions", found).isfinite().all()
        with WITHOUT_CUDNN.apply():
            assert not torch.backends.cudnn.enabled
        assert torch.backends.cudnn.enabled
        assert settings == [torch._C._get_fp32_precision_getter(*one) for one in OPERATIONS]


def test_the_last_thread_restores_cudnn():
    inside, leave = threading.Barrier(2), threading.Event()

    def other():
        with WITHOUT_CUDNN.apply():
            inside.wait(10)
            leave.wait(10)

    thread = threading.Thread(target=other)
    with WITHOUT_CUDNN.apply():
        thread.start()
        inside.wait(10)
    assert not torch.backends.cudnn.enabled
    leave.set()
    thread.join()
    assert torch.backends.cudnn.enabled
    with pytest.raises(ZeroDivisionError), WITHOUT_CUDNN.apply():
        1 / 0  # noqa: B018
    assert torch.backends.cudnn.enabled
