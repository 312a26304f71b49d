"""A borrowed model in which gradients can be taken."""

import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight.attribution.gradient_context import borrow_with_gradients, without_cudnn_recurrence

CPU = torch.device("cpu")


@pytest.mark.parametrize("own", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("dtype", [None, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", torch.float16)])
def test_gradients_are_taken_in_a_dtype_with_enough_digits(own, dtype, mode):
    model, X = nn.Linear(3, 2).to(own), torch.ones(1, 3)
    with mode(), borrow_with_gradients(model, X, CPU, dtype):
        wanted = torch.float64 if torch.float64 in (own, dtype) and dtype != torch.bfloat16 else torch.float32
        if dtype == torch.bfloat16:
            wanted = own
            assert torch.is_autocast_enabled("cpu")
            assert torch.get_autocast_dtype("cpu") == torch.bfloat16
        else:
            assert not torch.is_autocast_enabled("cpu")
        assert {p.dtype for p in model.parameters()} == {wanted}
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
        leaf = X.clone().to(wanted).requires_grad_()
        (found,) = torch.autograd.grad(model(leaf).sum(), leaf)
    torch.testing.assert_close(found[0].float(), model.weight.sum(0).float(), rtol=2e-2, atol=2e-2)
    assert {p.dtype for p in model.parameters()} == {own}


class InHalf(nn.Module):
    """What many write who train in half precision."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv1d(4, 3, 3).bfloat16(), nn.Linear(3, 1)

    def forward(self, X):
        return self.head(self.conv(X.bfloat16()).relu().mean(-1).float())


@pytest.mark.reliability(
    "numbers and ids",
    "gradients of a model that names bfloat16 in its forward",
    "an error with the dtype to pass, by which it is explained",
)
@pytest.mark.parametrize("method", ["deep_lift_shap", "integrated_gradients", "input_x_gradient"])
def test_a_model_that_names_half_precision(method):
    X, settings = sl.random_one_hot((2, 4, 20), random_state=0), {"device": "cpu", "batch_size": 4}
    with pytest.raises(
        sl.InputError, match=r"is in bfloat16 and seems to name that dtype in its forward .* dtype='bfloat16'"
    ):
        getattr(sl, method)(InHalf(), X, **settings)
    model = InHalf()
    getattr(sl, method)(model, X, dtype="bfloat16", **settings)
    assert model.conv.weight.dtype == torch.bfloat16


def test_recurrent_models_run_without_cudnn_on_cuda_only():
    before = torch.backends.cudnn.enabled
    for model, device, wanted in [
        (nn.Sequential(nn.LSTM(3, 2)), torch.device("cuda"), False),
        (nn.Sequential(nn.LSTM(3, 2)), CPU, before),
        (nn.Linear(3, 2), torch.device("cuda"), before),
    ]:
        with without_cudnn_recurrence(model, device):
            assert torch.backends.cudnn.enabled == wanted
        assert torch.backends.cudnn.enabled == before
