"""The rule for max pooling against its definition, written slowly and literally."""

import itertools

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from seqlight import deep_lift_shap, random_one_hot
from seqlight.attribution.rules.elementwise import smallest_step
from seqlight.attribution.rules.pooled_windows import Window, window_maxima
from seqlight.attribution.rules.pooling import MaxPool, cross_maximum
from seqlight.errors import UnsupportedOperation

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
        share = (x1[w1] - x0[w0]) / dx if abs(dx) >= smallest_step(x0.dtype) else 1
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


SAMPLES = torch.rand(1, 2, 3, generator=torch.Generator().manual_seed(0))


def samples(h, n):
    return SAMPLES[..., :n].to(h).expand(len(h), -1, -1)


FRACTIONAL = {
    "plane": lambda h: F.fractional_max_pool2d(h.view(-1, 2, 6, 10), 2, (3, 4), _random_samples=samples(h, 2)),
    "plane, by ratio": lambda h: F.fractional_max_pool2d(
        h.view(-1, 2, 6, 10), 3, output_ratio=(0.5, 0.6), return_indices=True, _random_samples=samples(h, 2)
    )[0],
    "space": lambda h: F.fractional_max_pool3d(h.view(-1, 2, 3, 4, 5), 2, (1, 2, 3), _random_samples=samples(h, 3)),
    "unpooled": lambda h: F.max_unpool2d(
        *F.fractional_max_pool2d_with_indices(h.view(-1, 2, 6, 10), 1, (3, 4), _random_samples=samples(h, 2)),
        (2, 3),
        output_size=(6, 10),
    ),
}


@pytest.mark.parametrize("name", FRACTIONAL)
def test_fractional_pooling_with_given_windows(name, Around, incompleteness):
    assert incompleteness(Around(FRACTIONAL[name])) < 1e-9


@pytest.mark.parametrize("n", [2, 3])
def test_fractional_pooling_with_random_windows_is_refused(n, Around):
    kind, shape = {2: (nn.FractionalMaxPool2d, (2, 6, 10)), 3: (nn.FractionalMaxPool3d, (2, 3, 4, 5))}[n]
    model = Around(
        nn.Sequential(nn.Unflatten(1, (1, 6)), nn.Flatten(), nn.Unflatten(1, shape), kind(2, output_ratio=0.6))
    )
    with pytest.raises(
        UnsupportedOperation, match=rf"fractional_max_pool{n}d draws its windows.*fixed _random_samples.*in mod"
    ):
        deep_lift_shap(model, random_one_hot((2, 4, 20), random_state=0), device="cpu", random_state=0)


@pytest.mark.parametrize("windows", [1, 6, 10, 30, (5,)])
def test_adaptive_pooling_with_equal_windows_is_that_of_these_windows(windows, multiplied):
    torch.manual_seed(0)
    x1, x0 = (torch.randn(2, 30, dtype=torch.float64).relu() for _ in range(2))
    size = 30 // (windows[0] if isinstance(windows, tuple) else windows)
    grad = torch.randn_like(F.max_pool1d(x0, size))
    y, found = multiplied(MaxPool(1), F.adaptive_max_pool1d_with_indices, x1, x0, grad, output_size=windows)
    wanted = multiplied(MaxPool(1), F.max_pool1d_with_indices, x1, x0, grad, kernel_size=size)
    assert torch.equal(y, wanted[0])
    assert torch.equal(found, wanted[1])


@pytest.mark.reliability(
    "attribution",
    "max pooling computed in half precision, where 16 units in the last place are a tenth of a number",
    "the larger input is credited, as in float64",
)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_credits_the_larger_input(dtype, multiplied):
    torch.manual_seed(0)
    x1, x0 = (torch.randn(2, 400).to(dtype) for _ in range(2))
    grad = torch.ones(2, 100, dtype=dtype)
    _, found = multiplied(MaxPool(1), F.max_pool1d_with_indices, x1, x0, grad, kernel_size=4)
    exact = (one.double() for one in (x1, x0, grad))
    _, wanted = multiplied(MaxPool(1), F.max_pool1d_with_indices, *exact, kernel_size=4)
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(found.double(), wanted, rtol=4 * eps, atol=4 * eps)


@pytest.mark.parametrize("window", [(2, 2, 0, 1), (3, 2, 1, 1), (4, 4, 0, 1), (2, 1, 0, 3)])
def test_maxima_that_are_equal_but_for_rounding_are_credited_as_equal_ones(window, multiplied):
    """The first of them, wherever rounding put the largest; and what each window gives away stays its difference."""
    torch.manual_seed(0)
    exact = [torch.randn(2, 30, dtype=torch.float64).mul_(2).round_().div_(2) for _ in range(2)]
    eps = torch.finfo(torch.float64).eps
    rounded = [one * (1 + 3 * eps * torch.randn_like(one)) for one in exact]
    names = ("kernel_size", "stride", "padding", "dilation")
    keywords = dict(zip(names, window, strict=True))
    grad = torch.rand_like(F.max_pool1d(exact[0], **keywords))
    _, wanted = multiplied(MaxPool(1), F.max_pool1d_with_indices, *exact, grad, **keywords)
    y, found = multiplied(MaxPool(1), F.max_pool1d_with_indices, *rounded, grad, **keywords)
    moved = exact[0] != exact[1]  # elsewhere a step is rounding alone, and what it is multiplied with tells nothing
    torch.testing.assert_close(found[moved], wanted[moved], rtol=1e-10, atol=1e-10)
    y1 = F.max_pool1d(rounded[0], **keywords)
    given = (found * (rounded[0] - rounded[1])).sum(dim=1)
    torch.testing.assert_close(given, (grad * (y1 - y)).sum(dim=1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("window", [(40, 1, 20, 1), (40, 40, 0, 1), (3, 3, 0, 1), (5, 2, 2, 3)])
def test_wide_windows_that_overlap_take_no_more_memory_than_the_input(window):
    sizes = []

    class Largest(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            found = func(*args, **(kwargs or {}))
            if not func.is_view:
                sizes.extend(one.nbytes for one in tree_leaves(found) if isinstance(one, torch.Tensor))
            return found

    x1, x0 = torch.randn(2, 3, 200), torch.randn(8, 3, 200)
    recorded, reference = ((x, *F.max_pool1d(x, *window, return_indices=True)) for x in (x1, x0))
    with Largest():
        cross_maximum(recorded, reference, 1, Window(*window))
    # Positions are int64, and inputs are padded.
    assert max(sizes) <= 2 * x0.nbytes * 1.25


@pytest.mark.parametrize("stride", [None, [], ()])
def test_a_stride_that_is_not_given_is_the_size(stride, multiplied):
    torch.manual_seed(0)
    x1, x0, grad = torch.randn(2, 3, 12), torch.randn(4, 3, 12), torch.randn(4, 3, 4)
    found = multiplied(MaxPool(1), F.max_pool1d_with_indices, x1, x0, grad, kernel_size=3, stride=stride)[1]
    wanted = multiplied(MaxPool(1), F.max_pool1d_with_indices, x1, x0, grad, kernel_size=3, stride=3)[1]
    assert torch.equal(found, wanted)


@pytest.mark.reliability(
    "attribution",
    "max pooling above repeats, or with references that are the same everywhere, in float32",
    "the attributions of float64, on every processor",
)
@pytest.mark.parametrize("references", ["shuffled", "zero"])
def test_rounding_does_not_decide_who_is_credited(references):
    torch.manual_seed(0)
    layers = [nn.Conv1d(4, 32, 19, padding=9), nn.ReLU(), nn.MaxPool1d(3)]
    layers += [nn.Conv1d(32, 32, 11, padding=5), nn.ReLU(), nn.MaxPool1d(4), nn.Flatten(), nn.Linear(32 * 16, 1)]
    model = nn.Sequential(*layers)
    X = random_one_hot((3, 4, 200), random_state=0)
    X[:, :, 60:100] = 0
    X[:, 1, 60:100:2] = X[:, 0, 61:100:2] = 1
    more = {"references": torch.zeros(3, 1, 4, 200)} if references == "zero" else {"n_shuffles": 2}
    single, double = (
        deep_lift_shap(model, X, dtype=dtype, device="cpu", random_state=0, **more) for dtype in ("float32", "float64")
    )
    assert (single - double).abs().max() < 1e-4 * double.abs().max()


def some_inputs(kind):
    """Return inputs of sequences and references of which many are equal, or nearly so, or hidden."""
    torch.manual_seed(0)
    x1, x0 = torch.randn(2, 3, 20), torch.randn(8, 3, 20)
    if kind != "random":
        x1, x0 = x1.round(), x0.round()
    if kind == "equal but for rounding":
        x1, x0 = (one * (1 + 4 * torch.finfo(one.dtype).eps * torch.randn_like(one)) for one in (x1, x0))
    if kind == "hidden":
        x0[2, 1] = x0[3, 0, 5:9] = x1[1, 0, 5:9] = -torch.inf
    return x1, x0


WINDOWS = [(2, 2, 0, 1), (3, 3, 1, 1), (4, 2, 2, 1), (3, 1, 1, 2), (18, 18, 3, 1), (3, 7, 1, 2)]


@pytest.mark.reliability(
    "accelerators",
    "max pooling without a compiled kernel, on a device that has to be waited for to know which windows tie",
    "it credits what a CPU credits, and nothing is waited for",
)
@pytest.mark.parametrize("kind", ["random", "equal", "equal but for rounding", "hidden"])
@pytest.mark.parametrize("window", WINDOWS)
def test_a_device_credits_what_a_cpu_credits(window, kind, pretend):
    x1, x0 = some_inputs(kind)
    found = []
    for device in ("cpu", "pretend"):
        recorded, reference = (
            (x, *F.max_pool1d(x, *window, return_indices=True)) for x in (x1.to(device), x0.to(device))
        )
        with pretend.counted() as counts:
            found.append(cross_maximum(recorded, reference, 1, Window(*window)))
        assert not counts.awaited
    (winners, multiplier), there = found
    assert torch.equal(there[0].cpu(), winners)
    torch.testing.assert_close(there[1].cpu(), multiplier, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("kind", ["random", "equal", "equal but for rounding", "hidden"])
@pytest.mark.parametrize("window", WINDOWS)
def test_maxima_without_positions_are_those_with_them(window, kind):
    _, x0 = some_inputs(kind)
    for rounded_up in (False, True):
        wanted = F.max_pool1d(x0, *window, rounded_up)
        assert torch.equal(window_maxima(x0, Window(*window), wanted.shape[-1]), wanted)


@given(*(st.integers(1, 5) for _ in range(3)), st.integers(0, 2), st.booleans(), st.integers(1, 12))
def test_windows_of_padding_alone_are_told_from_the_shapes(size, stride, dilation, padding, rounded_up, width):
    padding = min(padding, size // 2)
    x = torch.ones(1, 1, width)
    assume(width + 2 * padding >= dilation * (size - 1) + 1)
    y = F.max_pool1d(x, size, stride, padding, dilation, rounded_up)
    assert Window(size, stride, padding, dilation).has_empty(width, y.shape[-1]) == bool((y == -torch.inf).any())


@pytest.mark.reliability("operations", "the result of a max pooling is written to", "complete")
def test_a_result_may_be_written_to(Around, incompleteness):
    assert incompleteness(Around(lambda h: F.relu(F.max_pool1d(h, 2), inplace=True))) < 1e-9
