"""The rule for max pooling against its definition, written slowly and literally."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from seqlight.attribution.rules.elementwise import least
from seqlight.attribution.rules.pooling import MaxPool

pytestmark = pytest.mark.usefixtures("with_and_without_kernels")


def slow_max_pool(x1, x0, grad, kernel, stride, padding, dilation, ceil_mode):
    """The cross-maximum of one row of one channel: what a window's maximum differs by goes to one position."""
    n = len(x1)
    outputs = len(F.max_pool1d(x0[None], kernel, stride, padding, dilation, ceil_mode)[0])
    m, ys = torch.zeros(n, dtype=x0.dtype), []
    for window in range(outputs):
        places = [window * stride - padding + k * dilation for k in range(kernel)]
        places = [place for place in places if 0 <= place < n]
        w1, w0 = max(places, key=lambda p: (x1[p], -p)), max(places, key=lambda p: (x0[p], -p))
        ys.append(x0[w0])
        winner = w1 if x1[w1] >= x0[w0] else w0
        dx = x1[winner] - x0[winner]
        share = (x1[w1] - x0[w0]) / dx if abs(dx) >= least(x0.dtype) else 1
        m[winner] += grad[window] * share
    return torch.stack(ys), m


@pytest.mark.parametrize(
    "settings",
    [(2, 2, 0, 1, False), (3, 1, 1, 1, False), (4, 2, 2, 1, True), (3, 2, 1, 2, False), (2, 3, 0, 3, True)],
)
@pytest.mark.parametrize("kind", ["random", "after relu", "equal in part"])
def test_max_pool_is_the_cross_maximum(settings, kind, multiplied):
    torch.manual_seed(0)
    for _ in range(5):
        x1, x0 = torch.randn(2, 17, dtype=torch.float64), torch.randn(2, 17, dtype=torch.float64)
        if kind == "after relu":
            x1, x0 = (x1 - 0.5).relu(), (x0 - 0.5).relu()
        elif kind == "equal in part":
            x0[:, 5:] = x1[:, 5:]
        names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
        keywords = dict(zip(names, settings, strict=True))
        grad = torch.randn_like(F.max_pool1d(x0, **keywords))
        y, found = multiplied(MaxPool(1), F.max_pool1d_with_indices, x1, x0, grad, **keywords)
        for row in range(2):
            slow_y, slow = slow_max_pool(x1[row], x0[row], grad[row], *settings)
            torch.testing.assert_close(y[row], slow_y)
            torch.testing.assert_close(found[row], slow)


@pytest.mark.parametrize("n", [2, 3])
def test_max_pool_in_more_dimensions_is_that_of_its_windows(n, multiplied):
    torch.manual_seed(0)
    shape = (2, 3, 6, 5, 4)[: n + 2]
    x1, x0 = torch.randn(shape, dtype=torch.float64), torch.randn(shape, dtype=torch.float64)
    pool = getattr(F, f"max_pool{n}d_with_indices")
    y = pool(x0, 2, 1)[0]
    grad = torch.randn_like(y)
    _, found = multiplied(MaxPool(n), pool, x1, x0, grad, kernel_size=2, stride=1)
    slow = torch.zeros_like(x0)
    for at in itertools.product(*map(range, y.shape)):
        window = (*at[:2], *(slice(i, i + 2) for i in at[2:]))
        a, b = x1[window].flatten(), x0[window].flatten()
        winner = int(a.argmax()) if a.max() >= b.max() else int(b.argmax())
        m = torch.zeros_like(a)
        m[winner] = grad[at] * (a.max() - b.max()) / (a[winner] - b[winner])
        slow[window] += m.view(x0[window].shape)
    torch.testing.assert_close(found, slow)
