"""The angle of two operands: the mean of its derivatives, written slowly as a sum of many points."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import seqlight as sl
from seqlight.attribution.rules.atan2 import mean_slopes

NUMBERS = st.one_of(st.floats(-10, 10, width=32), st.sampled_from([0.0, -0.0, 1e-30, -1e-30, 1e18, 1.0, -1.0]))


@given(st.tuples(NUMBERS, NUMBERS), st.tuples(NUMBERS, NUMBERS), st.sampled_from([torch.float32, torch.float64]))
def test_the_slopes_explain_the_difference(one, other, dtype):
    (y1, x1), (y0, x0) = ([torch.tensor([v], dtype=dtype) for v in each] for each in (one, other))
    by_y, by_x = mean_slopes((y1, x1), (y0, x0))
    assert by_y.isfinite()
    assert by_x.isfinite()
    if 0 < max(map(abs, (*one, *other))) < 1e-30:
        return  # their reciprocals are too large for float32
    wanted = torch.atan2(y1, x1) - torch.atan2(y0, x0)
    if bool((y1 == y0) & (x1 == x0)):
        return
    found = by_y * (y1 - y0) + by_x * (x1 - x0)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=4e-6 if dtype == torch.float32 else 1e-9)


def test_the_mean_of_many_points():
    torch.manual_seed(0)
    x1, x0 = torch.randn(2, 50, dtype=torch.float64), torch.randn(2, 50, dtype=torch.float64)
    x1[1], x0[1] = x1[1].abs() + 0.2, x0[1].abs() + 0.2  # on one side of the cut
    at = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    line = (x0[..., None] + (x1 - x0)[..., None] * at).requires_grad_()
    (slopes,) = torch.autograd.grad(torch.atan2(line[0], line[1]).sum(), line)
    torch.testing.assert_close(torch.stack(mean_slopes(x1, x0)), slopes.mean(-1), rtol=1e-5, atol=1e-6)


def test_points_that_hardly_differ_have_the_derivative():
    x0 = torch.randn(2, 1000)
    x1 = x0 * (1 + 1e-6 * torch.randn(2, 1000))
    leaf = x0.double().requires_grad_()
    (slopes,) = torch.autograd.grad(torch.atan2(leaf[0], leaf[1]).sum(), leaf)
    near = [one.double() for one in mean_slopes(x1, x0)]
    assert float(((torch.stack(near) - slopes).norm(dim=0) / slopes.norm(dim=0)).max()) < 1e-4


@pytest.mark.reliability(
    "attribution",
    "atan2 of two numbers that depend on the input, also across its cut; angles of a Fourier transform",
    "complete sums, in closed form",
)
@pytest.mark.parametrize("dtype", [None, "float64"])
@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.atan2(x.flip(1), x),
        lambda x: torch.arctan2(x[:, :4], x[:, 4:]).cos(),
        lambda x: torch.atan2(other=x, input=x.flip(1)),
        lambda x: x.flip(2).atan2(x.relu()),
        lambda x: torch.atan2(x.relu(), x.mean(1, keepdim=True)),
        lambda x: torch.fft.rfft(x).angle(),
        lambda x: torch.view_as_complex(torch.stack([x, x.flip(1)], -1)).angle().sin(),
    ],
)  # fmt: skip
def test_angles_add_up(function, dtype):
    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.stem = nn.Conv1d(4, 8, 5, padding=2)

        def forward(self, X):
            return function(self.stem(X)).flatten(1).mean(1, keepdim=True)

    X = sl.random_one_hot((3, 4, 40), random_state=0).float()
    found = sl.deep_lift_shap(Turned(), X, n_shuffles=3, device="cpu", random_state=0, dtype=dtype)
    assert found.isfinite().all()
