"""Float32 on an accelerator means float32, whatever the program has set, and the settings are given back."""

import contextlib
import itertools
import threading

import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight.errors import InputError
from seqlight.prediction.float32_precision import hold_precision, may_use_tf32

GPU = torch.device("cuda")
OPERATIONS = [("cuda", one) for one in ("all", "conv", "rnn", "matmul")]
ANY = [("generic", "all"), *OPERATIONS, ("mkldnn", "conv"), ("mkldnn", "matmul")]
read, write = torch._C._get_fp32_precision_getter, torch._C._set_fp32_precision_setter


def now():
    return {one: read(*one) for one in ANY}


@contextlib.contextmanager
def program(*settings):
    """A program that has set some precisions. What PyTorch begins with is not known afterwards but by its effects."""
    before = now()
    for operation, precision in settings:
        write(*operation, precision)
    try:
        yield
    finally:
        for operation in ANY:
            write(*operation, before[operation])


PROGRAMS = [
    *[[(one, precision)] for one, precision in itertools.product([("generic", "all"), *OPERATIONS], ["ieee", "tf32"])],
    [(("generic", "all"), "tf32"), (("cuda", "conv"), "ieee")],
    [(("cuda", "all"), "ieee"), (("cuda", "matmul"), "tf32")],
    [(("cuda", "all"), "tf32"), (("cuda", "conv"), "none"), (("cuda", "matmul"), "ieee")],
    [],
]


@pytest.mark.reliability(
    "accelerators",
    "TF32 switched on or off in any of the ways that PyTorch has, by attributes old and new",
    "convolutions and products are exact within, or in TF32 where asked for, and the settings are given back",
)
@pytest.mark.parametrize("precision", [None, "tf32"])
@pytest.mark.parametrize("settings", PROGRAMS, ids=lambda one: ", ".join("-".join([*op, to]) for op, to in one) or "-")
def test_any_settings_are_overruled_and_restored(settings, precision):
    with program(*settings):
        before = now()
        with hold_precision(precision, GPU):
            assert read("cuda", "conv") == read("cuda", "rnn") == ("tf32" if precision else "ieee")
            assert read("cuda", "matmul") == "ieee"
            assert may_use_tf32(GPU) == (precision == "tf32")
            assert read("mkldnn", "conv") == before["mkldnn", "conv"]  # other threads may compute on the CPU
        assert now() == before


@pytest.mark.parametrize("precision", [None, "tf32"])
def test_what_follows_a_general_setting_still_does(python, precision):
    """In a process of its own, where convolutions are still as PyTorch begins."""
    code = (
        "import torch; from seqlight.prediction.float32_precision import hold_precision\n"
        "read = torch._C._get_fp32_precision_getter\n"
        f"with hold_precision({precision!r}, torch.device('cuda')): pass\n"
        "assert torch.backends.cudnn.allow_tf32\n"
        "assert (read('cuda', 'conv'), read('cuda', 'matmul')) == ('tf32', 'none')\n"
        "torch.backends.fp32_precision = 'ieee'\n"
        "assert read('cuda', 'conv') == read('cuda', 'matmul') == 'ieee'\n"
        "torch.backends.fp32_precision = 'tf32'\n"
        "assert read('cuda', 'conv') == read('cuda', 'matmul') == 'tf32'\n"
    )
    python("-c", code)


@pytest.mark.parametrize("precision", [None, "tf32"])
def test_earlier_versions_of_pytorch(monkeypatch, precision):
    for name in ("_set_fp32_precision_setter", "_get_fp32_precision_getter"):
        monkeypatch.delattr(torch._C, name)
    before = torch._C._get_cudnn_allow_tf32(), torch._C._get_cublas_allow_tf32()
    with hold_precision(precision, GPU):
        assert torch._C._get_cudnn_allow_tf32() == may_use_tf32(GPU) == (precision == "tf32")
        assert not torch._C._get_cublas_allow_tf32()
    assert (torch._C._get_cudnn_allow_tf32(), torch._C._get_cublas_allow_tf32()) == before


@pytest.mark.parametrize("benchmark", [True, False])
@pytest.mark.parametrize("deterministic", [True, False])
def test_cudnn_is_deterministic_within(benchmark, deterministic):
    with torch.backends.cudnn.flags(enabled=True, benchmark=benchmark, deterministic=deterministic):
        for error in (None, KeyError):
            with pytest.raises(error) if error else contextlib.nullcontext(), hold_precision(None, GPU):
                assert (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic) == (False, True)
                if error:
                    raise error
            assert (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic) == (benchmark, deterministic)


def test_nothing_is_set_for_the_cpu():
    before = now(), torch.backends.cudnn.deterministic
    with hold_precision("tf32", torch.device("cpu")):
        assert (now(), torch.backends.cudnn.deterministic) == before


@pytest.mark.reliability(
    "accelerators", "two threads, one in float32 and one in TF32", "each gets its own: the second waits for the first"
)
def test_threads_that_want_something_else_wait():
    found, ended = [], threading.Event()

    def work(precision):
        with hold_precision(precision, GPU):
            found.append((precision, read("cuda", "conv"), ended.is_set()))

    threads = [threading.Thread(target=work, args=(one,)) for one in (None, "tf32")]
    with hold_precision(None, GPU):
        threads[0].start()
        threads[0].join(20)  # it wants the same
        threads[1].start()
        threads[1].join(0.1)
        assert threads[1].is_alive()  # it waits
        with hold_precision("tf32", GPU):
            assert read("cuda", "conv") == "ieee"  # the outer one holds
        ended.set()
    threads[1].join(20)
    assert found == [(None, "ieee", False), ("tf32", "tf32", True)]


@pytest.fixture
def case():
    torch.manual_seed(0)
    layers = nn.Conv1d(4, 16, 9), nn.ReLU(), nn.MaxPool1d(4), nn.Conv1d(16, 8, 5), nn.GELU(), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(8 * 9, 1)), sl.random_one_hot((3, 4, 60), random_state=0)


METHODS = {
    "deep_lift_shap": lambda model, X, **more: sl.deep_lift_shap(model, X, random_state=0, **more),
    "attribute": lambda model, X, **more: sl.attribute(model, X, random_state=0, **more).attributions,
    "saturation_mutagenesis": sl.saturation_mutagenesis,
    "input_x_gradient": lambda model, X, **more: sl.input_x_gradient(model, X, **more).attributions,
    "integrated_gradients": lambda model, X, **more: (
        sl.integrated_gradients(model, X, n_shuffles=2, random_state=0, n_steps=4, **more).attributions
    ),
    "DeepLift": lambda model, X, device="cpu", **more: (
        sl.DeepLift(model.to(device), **more).attribute(X.float().to(device)).cpu()
    ),
}


@pytest.mark.reliability(
    "accelerators",
    "a GPU that computes convolutions in TF32, as PyTorch has it by default",
    'attributions are those of float32; `precision="tf32"` asks for the faster ones',
)
@pytest.mark.parametrize("method", METHODS)
def test_attributions_are_not_in_tf32_unless_asked_for(pretend, case, method):
    model, X = case
    expected = METHODS[method](model, X, device="cpu")
    scale = expected.abs().max()
    with pretend.switched(tf32=True):
        before = now()
        there = METHODS[method](model, X, device="pretend")
        rounded = METHODS[method](model, X, device="pretend", precision="tf32")
        assert now() == before
    model.cpu()
    assert (there - expected).abs().max() < 2e-6 * scale
    assert (rounded - expected).abs().max() > 2e-5 * scale


@pytest.mark.reliability(
    "accelerators",
    "a GPU on which cuDNN chooses its algorithm by speed, and sums in any order",
    "two calls give the same numbers",
)
def test_attributions_are_the_same_twice(pretend, case):
    model, X = case
    with pretend.switched(unsteady=True), torch.backends.cudnn.flags(benchmark=True, allow_tf32=True):
        found = [sl.deep_lift_shap(model, X, random_state=0, device="pretend") for _ in range(3)]
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[1], found[2])


class Flags(nn.Module):
    """Switches cuDNN off for a while, as some do for double backward passes of recurrent layers."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv1d(4, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(116, 1))

    def forward(self, X):
        with torch.backends.cudnn.flags(enabled=False):
            return self.layers(X)


@pytest.mark.reliability(
    "accelerators", "a model that uses torch.backends.cudnn.flags in its forward", "an error that says what to use"
)
@pytest.mark.parametrize("method", ["deep_lift_shap", "saturation_mutagenesis"])
def test_a_model_that_sets_flags(pretend, case, method):
    before = now()
    with pytest.raises(InputError, match=r"asks for torch\.backends\.cudnn\.allow_tf32.*or pass precision='tf32'"):
        METHODS[method](Flags(), case[1], device="pretend")
    assert now() == before
    expected = METHODS[method](Flags(), case[1], device="cpu")
    assert expected.shape == case[1].shape


def test_other_precisions_are_refused(case):
    with pytest.raises(InputError, match="precision is 'bf16': expected None, for float32 to rounding, or 'tf32'"):
        sl.deep_lift_shap(*case, precision="bf16")
    with pytest.raises(InputError, match="precision is 16"):
        sl.DeepLift(case[0], precision=16)
