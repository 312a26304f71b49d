import numpy as np
import pytest
import torch
from scipy.integrate import trapezoid
from torch import nn

import seqlight as sl
from seqlight.metrics import faithfulness_area, faithfulness_curve
from seqlight.metrics.perturbation import Plan, perturbed_outputs

pytestmark = pytest.mark.accelerator


class Counting(nn.Module):
    """Counts the A at the first five positions."""

    def forward(self, X):
        return X[:, :1, :5].sum(dim=2)


@pytest.fixture
def X():
    X = sl.random_one_hot((30, 4, 50), random_state=0)
    X[:, :, 1:5] = torch.tensor([1, 0, 0, 0], dtype=torch.int8)[:, None]
    return X


SETTINGS = {"shares": (0, 0.1, 0.5, 1), "n_shuffles": 20}


def test_positions_that_the_model_reads_against_random_ones(X):
    right = torch.zeros(30, 50)
    right[:, :5] = 1
    top, random = faithfulness_curve(Counting(), X, right, **SETTINGS)
    full, shuffled = float(top[0]), float(top[-1])
    assert full == float(X[:, 0, :5].sum()) / 30
    # Ten percent are the five positions that matter: without them the whole count is lost.
    assert top.tolist() == pytest.approx([full, shuffled, shuffled, shuffled])
    # Random ones lose in proportion to their share of the sequence.
    expected = [full + share * (shuffled - full) for share in SETTINGS["shares"]]
    assert random.tolist() == pytest.approx(expected, abs=0.1)
    inserted, _ = faithfulness_curve(Counting(), X, right, "insertion", **SETTINGS)
    assert inserted.tolist() == pytest.approx([shuffled, full, full, full])


@pytest.mark.parametrize("kind", ["deletion", "insertion"])
def test_the_area_of_right_random_and_wrong_attributions(X, kind):
    torch.manual_seed(0)
    right = torch.zeros(30, 50)
    right[:, :5] = 1
    best, none, worst = (
        float(faithfulness_area(Counting(), X, one, kind, **SETTINGS)) for one in (right, torch.rand(30, 50), -right)
    )
    # The area between the exact curve, (0, 1, 1, 1) or its complement, and the diagonal.
    assert best == pytest.approx(0.45, abs=0.05)
    assert abs(none) < 0.05
    assert worst < -0.2


@pytest.mark.parametrize("kind", ["deletion", "insertion"])
def test_curve_and_area_against_numpy(X, kind):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(4, 6, 5), nn.ReLU(), nn.Flatten(), nn.Linear(276, 3)).double()
    attributions = torch.randn(X.shape)
    settings = {"target": 1, "shares": (0, 0.03, 0.2, 1), "n_shuffles": 2, "random_state": 5}
    outputs = perturbed_outputs(model, X, attributions, Plan(kind, **settings)).numpy()
    curve = faithfulness_curve(model, X, attributions, kind, **settings)
    assert np.allclose(curve, outputs.mean(axis=0))
    # 3 % of 50 positions are 2: areas are over the positions that were changed.
    sign = 1 if kind == "deletion" else -1
    areas = trapezoid(sign * (outputs[:, 1] - outputs[:, 0]), [0, 2 / 50, 10 / 50, 1])
    sizes = np.abs(outputs[:, 0, 0] - outputs[:, 0, -1])
    area = faithfulness_area(model, X, attributions, kind, **settings)
    assert float(area) == pytest.approx(areas.sum() / sizes.sum())
    each = faithfulness_area(model, X, attributions, kind, **settings, reduction="none")
    assert each.tolist() == pytest.approx((areas / sizes).tolist())


def test_edges(X):
    class Constant(nn.Module):
        def forward(self, X):
            return torch.full((len(X), 1), 3.0)

    assert float(faithfulness_area(Constant(), X, torch.zeros(30, 50), n_shuffles=2)) == 0  # nothing to lose
    broken = torch.zeros(30, 50)
    broken[3, 4] = float("nan")
    assert faithfulness_area(Counting(), X, broken, n_shuffles=2).isnan()
    assert faithfulness_curve(Counting(), X, broken, n_shuffles=2).isnan().all()
    with pytest.raises(sl.InputError, match="reduction is 'sum'"):
        faithfulness_area(Counting(), X, broken, n_shuffles=2, reduction="sum")
