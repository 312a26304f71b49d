"""One model in several threads: each gets the results that it gets alone, and the last restores the model."""

from __future__ import annotations

import copy
import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight.errors import InputError
from seqlight.prediction.borrowed_model import borrow as borrowed_model
from seqlight.prediction.borrowed_model import random_generators
from seqlight.prediction.borrowed_model.borrow import borrow, floating_dtype

CPU = torch.device("cpu")
X = sl.random_one_hot((6, 4, 20), random_state=0)
WAIT = 30  # seconds until a test that would hang fails


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv1d(4, 6, 5), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(96, 2)
    ).train()


def state_of(model):
    return (
        [module.training for module in model.modules()],
        [(id(one), one.data_ptr(), one.requires_grad, one.dtype) for one in model.parameters()],
        [(id(one), one.tolist()) for one in model.buffers()],
        [sorted(vars(module)) for module in model.modules()],
        torch.get_rng_state().tolist(),
        random.getstate(),
        np.random.get_state()[1].tolist(),
    )


def together(*calls):
    """Make calls in threads at the same time; return their results, or raise their error."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [done.result(WAIT) for done in [pool.submit(call) for call in calls]]


class Meeting:
    """A function of an output that waits until so many threads have called it."""

    def __init__(self, threads):
        self.barrier, self.met = threading.Barrier(threads, timeout=WAIT), threading.local()

    def __call__(self, y):
        if not getattr(self.met, "already", False):
            self.met.already = True
            self.barrier.wait()
        return y


@pytest.mark.reliability(
    "several threads",
    "predict of few rows beside predict of many, with one model",
    "right, given back",
)
def test_concurrent_predictions():
    model = network()
    before, alone = state_of(model), sl.predict(model, X, device="cpu")
    meeting = Meeting(2)
    many = X.repeat(20, 1, 1)
    first, second = together(
        lambda: sl.predict(model, X[:2], func=meeting, device="cpu"),
        lambda: sl.predict(model, many, func=meeting, batch_size=6, device="cpu"),
    )
    assert torch.equal(first, sl.predict(model, X[:2], device="cpu"))
    assert torch.equal(second, alone.repeat(20, 1))
    assert state_of(model) == before


@pytest.mark.reliability("several threads", "one of two calls with one model ends before the other", "right")
@pytest.mark.parametrize("fails", [False, True])
def test_the_last_call_restores_what_the_first_found(fails):
    model = network()
    before, two_in, one_out = state_of(model), threading.Barrier(2, timeout=WAIT), threading.Event()

    def first():
        with borrow(model, CPU):
            two_in.wait()
            torch.rand(1)
            random.random()
            if fails:
                raise KeyError
        return None

    def second():
        with borrow(model, CPU), torch.no_grad():
            two_in.wait()
            assert one_out.wait(WAIT)
            assert not any(module.training for module in model.modules())
            assert not any(one.requires_grad for one in model.parameters())
            return model(X.float())

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.submit(first), pool.submit(second)
        if fails:
            with pytest.raises(KeyError):
                one.result(WAIT)
        else:
            one.result(WAIT)
        one_out.set()
        assert torch.equal(other.result(WAIT), sl.predict(model, X, device="cpu"))
    assert state_of(model) == before
    assert not borrowed_model._LOANS._by_module
    assert not borrowed_model._FROZEN


@pytest.mark.reliability("several threads", "two models with a trunk in common, in two threads", "right, given back")
def test_models_that_share_a_trunk():
    trunk = network()
    one, other = nn.Sequential(trunk, nn.Linear(2, 1)), nn.Sequential(trunk, nn.Dropout(0.9), nn.Linear(2, 3))
    tied = nn.Linear(96, 2)
    tied.weight = trunk[5].weight
    before, two_in, one_out = (state_of(one), state_of(other), state_of(tied)), threading.Barrier(3, timeout=WAIT), []
    out = threading.Event()

    def first():
        with borrow(one, CPU):
            two_in.wait()

    def others(model):
        with borrow(model, CPU):
            two_in.wait()
            assert out.wait(WAIT)
            assert one[1].training
            assert one[1].weight.requires_grad
            return [p.requires_grad for p in model.parameters()] + [module.training for module in model.modules()]

    with ThreadPoolExecutor(3) as pool:
        found = [pool.submit(first), pool.submit(others, other), pool.submit(others, tied)]
        found[0].result(WAIT)
        out.set()
        one_out += [done.result(WAIT) for done in found[1:]]
    assert not any(any(flags) for flags in one_out)
    assert (state_of(one), state_of(other), state_of(tied)) == before


@pytest.mark.reliability(
    "several threads", "two calls that want one model in float32 and in float64", "one waits for the other"
)
def test_a_call_in_another_dtype_waits():
    model = network()
    before = state_of(model)

    def predict(dtype):
        return sl.predict(model, X, dtype=dtype, batch_size=2, device="cpu")

    expected = predict(None), predict("float64")
    assert expected[1].dtype == torch.float64
    calls = [partial(predict, dtype) for dtype in (None, "float64", "float32", "float64", None)]
    for _ in range(3):
        found = together(*calls)
        for got, dtype in zip(found, (0, 1, 0, 1, 0), strict=True):
            assert torch.equal(got, expected[dtype])
    assert state_of(model) == before


def test_floating_dtype_is_the_original_one_while_another_thread_converts_the_model():
    model = network().half()
    with borrow(model, CPU, torch.float32):
        assert floating_dtype(model, X) == torch.float32
        assert together(lambda: floating_dtype(model, X)) == [torch.float16]


@pytest.mark.reliability("several threads", "two threads that wait for each other's model", "an error")
def test_a_deadlock_is_an_error():
    models, both, served = (network(), network()), threading.Barrier(2, timeout=WAIT), []

    def crossing(first, second):
        with borrow(first, CPU):
            both.wait()
            with borrow(second, CPU, torch.float64):
                served.append(first)

    with pytest.raises(InputError, match=r"in use by another thread .* give each thread a model of its own"):
        together(lambda: crossing(*models), lambda: crossing(*models[::-1]))
    assert len(served) == 1
    assert not borrowed_model._LOANS._by_module


def test_a_nested_call_next_to_another_thread():
    """The function of the output predicts with the same model in another dtype, once no other thread holds it."""
    model = network()
    before = state_of(model)

    def within(y):
        again = sl.predict(model, X, dtype="float64", device="cpu")
        assert not torch.equal(again.float(), again)
        return y * 2

    expected = sl.predict(model, X, device="cpu")
    assert torch.equal(sl.predict(model, X, func=within, device="cpu"), expected * 2)
    meeting = Meeting(3)

    def same(y):
        assert torch.equal(sl.predict(model, X, device="cpu"), expected)
        return meeting(y)

    for found in together(*[lambda: sl.predict(model, X, func=same, device="cpu")] * 3):
        assert torch.equal(found, expected)
    assert state_of(model) == before


@pytest.mark.reliability(
    "several threads",
    "one joins in what another borrowed within a call of its own, and ends last",
    "the model is given back as the first call took it",
)
def test_a_nested_loan_that_a_later_thread_ends():
    model = network()
    before, taken, last = state_of(model), threading.Event(), threading.Event()

    def joins():
        with borrow(model, CPU):
            taken.set()
            last.wait(WAIT)

    thread = threading.Thread(target=joins)
    with borrow(model, CPU), borrow(model, CPU):
        thread.start()
        assert taken.wait(WAIT)
    last.set()
    thread.join(WAIT)
    assert state_of(model) == before


@pytest.mark.reliability(
    "several threads", "a call begins while the last of others ends", "the global random generators are as before"
)
def test_generators_are_not_read_while_another_call_restores_them(monkeypatch):
    reading, ended, states = threading.Event(), threading.Event(), random_generators._read_states

    def slowly(device):
        found = states(device)
        if threading.current_thread() is not threading.main_thread():
            reading.set()
            ended.wait(0.2)
        return found

    def other():
        with random_generators.preserve_generators(CPU):
            torch.rand(3)

    monkeypatch.setattr(random_generators, "_read_states", slowly)
    before, thread = torch.get_rng_state(), threading.Thread(target=other)
    with random_generators.preserve_generators(CPU):
        torch.rand(3)
        thread.start()
        assert reading.wait(WAIT)
    ended.set()
    thread.join(WAIT)
    assert torch.equal(torch.get_rng_state(), before)


def numbers(result):
    return torch.as_tensor(getattr(result, "attributions", result))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_has_no_other_threads():
    model, taken, out = network(), threading.Event(), threading.Event()

    def holds():
        with borrow(model, CPU):
            taken.set()
            assert out.wait(WAIT)

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(holds)
        assert taken.wait(WAIT)
        child = os.fork()
        if not child:
            try:
                with borrow(model, CPU, torch.float64):
                    os._exit(int(floating_dtype(model, X) != torch.float64))
            finally:
                os._exit(2)
        _, status = os.waitpid(child, 0)
        out.set()
        other.result(WAIT)
    assert status == 0


CALLS = {
    "deep_lift_shap": lambda model: sl.deep_lift_shap(model, X, n_shuffles=3, random_state=0, device="cpu"),
    "deep_lift_shap, with rules": lambda model: sl.deep_lift_shap(
        model, X, n_shuffles=3, random_state=0, device="cpu",
        additional_nonlinear_ops={nn.ReLU: lambda module, grad_input, grad_output: grad_input[0] * 2},
        warning_threshold=1e9,
    ),
    "attribute": lambda model: sl.attribute(model, X, n_shuffles=3, random_state=0, device="cpu").attributions,
    "saturation_mutagenesis": lambda model: sl.saturation_mutagenesis(model, X, device="cpu"),
    "integrated_gradients": lambda model: sl.integrated_gradients(model, X, random_state=0, device="cpu"),
    "input_x_gradient": lambda model: sl.input_x_gradient(model, X, device="cpu"),
    "predict": lambda model: sl.predict(model, X, device="cpu"),
}  # fmt: skip


@pytest.mark.reliability(
    "several threads", "all methods of attribution at once with one model", "each as alone, to the last bit"
)
@pytest.mark.filterwarnings("ignore:Convergence deltas too high")  # of a rule that is wrong on purpose
def test_concurrent_attributions():
    model = network()
    expected = {name: call(model) for name, call in CALLS.items()}
    before, start = state_of(model), threading.Barrier(len(CALLS), timeout=WAIT)

    def several(call):
        start.wait()
        return [call(model) for _ in range(3)]

    found = together(*[lambda call=call: several(call) for call in CALLS.values()])
    for name, results in zip(CALLS, found, strict=True):
        for result in results:
            assert torch.equal(numbers(result), numbers(expected[name])), name
    assert state_of(model) == before


def test_no_reference_to_a_model_is_kept():
    model = network()
    copied = copy.deepcopy(model)
    together(lambda: sl.predict(model, X, device="cpu"), lambda: sl.predict(copied, X, device="cpu"))
    assert not borrowed_model._LOANS._by_module
    assert not borrowed_model._FROZEN
