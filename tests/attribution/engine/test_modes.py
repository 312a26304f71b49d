"""What the modes say, they say of the line of the model that it is about."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import seqlight as sl


class Integrated(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(80, 1)

    def forward(self, X):
        h = X.flatten(1)
        return self.last(torch.special.xlog1py(h, h.exp()))


class InPyTorch(nn.Module):
    def __init__(self):
        super().__init__()
        self.steps, self.last = nn.LSTM(4, 3, batch_first=True), nn.Linear(3, 1)

    def forward(self, X):
        return self.last(self.steps(X.mT)[0][:, -1])


@pytest.mark.parametrize("model", [Integrated(), InPyTorch()], ids=lambda model: type(model).__name__)
def test_a_warning_points_to_the_model(model):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sl.deep_lift_shap(
            model, sl.random_one_hot((1, 4, 20), random_state=0), n_shuffles=2, random_state=0, device="cpu"
        )
    (found,) = [one for one in caught if issubclass(one.category, sl.IntegratedWarning)]
    assert found.filename == __file__


LINEAR = {
    "a cross product with a constant": lambda h: torch.linalg.cross(h[:, :3], torch.ones_like(h[:, :3]), dim=1),
    "a bilinear form with a constant": lambda h: F.bilinear(h, torch.ones_like(h), torch.ones(2, 20, 20).to(h)),
    "the imaginary part of an inverse Fourier transform": lambda h: torch.fft.ihfft(h).imag,
}


@pytest.mark.reliability(
    "operations", "a cross product or a bilinear form with a constant, .imag of an inverse FFT", "complete"
)
@pytest.mark.parametrize("name", LINEAR)
def test_rare_linear_operations_are_known_to_be_linear(name, Around, incompleteness):
    assert incompleteness(Around(LINEAR[name])) < 1e-12


BROADCAST = {
    "degrees": lambda h: torch.special.hermite_polynomial_h(h[:, :, :1], torch.arange(3)),
    "dividends": lambda h: (h[:, :, :1] + 9).__rtruediv__(torch.arange(3).to(h)),
    "signs": lambda h: torch.copysign(h, h.flip(1)),
    "steps": lambda h: torch.heaviside(h.round(), h.flip(1)),
    "angles": lambda h: torch.view_as_real(torch.polar(h.abs() + 1, h.flip(1))),
}


@pytest.mark.reliability(
    "operations",
    "copysign, heaviside and polar of two tensors of the model; polynomials of several degrees",
    "complete",
)
@pytest.mark.parametrize("name", BROADCAST)
def test_functions_of_two_tensors(name, Around, incompleteness):
    assert incompleteness(Around(BROADCAST[name])) < 1e-12
