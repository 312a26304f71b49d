"""Loops run over blocks of rows on the threads that PyTorch computes with."""

import ctypes
import os
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqlight.native import threads
from seqlight.native.library import Loop, library
from seqlight.native.threads import over_rows, run


@pytest.fixture(params=["PyTorch's", "our own"])
def two_threads(request, monkeypatch):
    if request.param == "our own":
        monkeypatch.setattr(threads, "_openmp", lambda: None)
    elif threads._openmp() is None:
        pytest.skip("this PyTorch has another OpenMP")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@given(st.integers(0, 40), st.integers(1, 5), st.booleans())
def test_every_row_is_handled_once(rows, n, ours):
    before, met = torch.get_num_threads(), []
    torch.set_num_threads(n)
    with pytest.MonkeyPatch.context() as patch:
        if ours:
            patch.setattr(threads, "_openmp", lambda: None)
        try:
            over_rows(lambda first, last: met.extend(range(first, last)), rows)
        finally:
            torch.set_num_threads(before)
    assert sorted(met) == list(range(rows))


def test_blocks_run_at_the_same_time(two_threads):
    both = threading.Barrier(2, timeout=30)
    over_rows(lambda *_: both.wait(), 2)


@pytest.mark.parametrize("bad", [0, 1])
@pytest.mark.parametrize("error", [MemoryError, IndexError, KeyboardInterrupt])
def test_an_exception_of_a_block_is_raised(two_threads, bad, error):
    def work(first, _):
        if first == bad:
            raise error("in a block")

    with pytest.raises(error, match="in a block"):
        over_rows(work, 2)
    over_rows(lambda *_: None, 2)


def test_little_work_is_done_by_the_calling_thread(two_threads):
    met = set()
    over_rows(lambda *_: met.add(threading.get_ident()), 100, entries=100)
    assert met == {threading.get_ident()}


@pytest.mark.skipif(library() is None, reason="the loops are not compiled")
@pytest.mark.parametrize("rows", [0, 1, 2, 7, 300_000])
def test_a_compiled_loop_handles_every_row_once(two_threads, rows, monkeypatch):
    monkeypatch.setattr(threads, "WORTH_THREADS", 1)
    x, y = 1 + torch.rand(rows), torch.full((rows,), float("nan"))
    run("relu_gradients", (torch.ones(rows), x, -x, y), (max(rows, 1), 1, 4, 1e-6), rows, rows)
    torch.testing.assert_close(y, torch.full((rows,), 0.5), rtol=1e-6, atol=0)


@pytest.mark.reliability("several threads", "compiled loops run from several threads at once", "each as alone")
@pytest.mark.skipif(library() is None, reason="the loops are not compiled")
def test_compiled_loops_run_at_the_same_time(two_threads):
    start, rows = threading.Barrier(3, timeout=30), 200_000

    def many(seed):
        x = 1 + torch.rand(rows, generator=torch.Generator().manual_seed(seed))
        factor, y, python = torch.full((rows,), float(seed)), torch.empty(rows), torch.empty(rows)
        start.wait()
        for _ in range(20):
            y.fill_(float("nan"))
            python.fill_(float("nan"))
            run("relu_gradients", (factor, x, -x, y), (rows, 1, 4, 1e-6), rows, rows)
            over_rows(lambda first, last: python[first:last].fill_(seed), rows)
            torch.testing.assert_close(y, factor / 2, rtol=1e-6, atol=0)
            assert torch.equal(python, factor)

    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(many, seed) for seed in (1, 2, 3)]:
            done.result(60)


@pytest.mark.skipif(library() is None, reason="the loops are not compiled")
@pytest.mark.parametrize("n", [1, 2])
def test_a_compiled_loop_without_memory(two_threads, n, monkeypatch):
    def fails(of, first, last):
        return -1

    one = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(fails)
    fake = Loop(one, ctypes.cast(one, ctypes.c_void_p).value, struct.Struct("q"))
    monkeypatch.setattr(threads, "loop", lambda name: fake)
    torch.set_num_threads(n)
    with pytest.raises(MemoryError, match="no memory for a row of windows"):
        run("windows", (), (3,), 10, 10**9)


AT_HOME = """
import os, torch
from seqlight.native.threads import over_rows

torch.set_num_threads(2)
torch.ones(2**22).exp_()
before = set(os.listdir("/proc/self/task"))
over_rows(lambda *_: None, 2)
print(len(set(os.listdir("/proc/self/task")) - before))
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")
def test_only_the_threads_of_pytorch_are_used(python):
    """For those stay awake, and would have to share the processors."""
    if threads._openmp() is None:
        pytest.skip("this PyTorch has another OpenMP")
    done = python("-c", AT_HOME)
    assert int(done.stdout) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_in_a_forked_process(two_threads):
    over_rows(lambda *_: None, 2)
    child = os.fork()
    if not child:
        try:
            both = threading.Barrier(2, timeout=30)
            over_rows(lambda *_: both.wait(), 2)
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
