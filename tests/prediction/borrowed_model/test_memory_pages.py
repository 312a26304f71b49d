"""Batches reuse the memory of earlier ones."""

import platform
import subprocess
import sys

import pytest
import torch

from seqlight.prediction.borrowed_model import memory_pages

CPU = torch.device("cpu")
glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep memory as they please")

PREDICT = """
import resource, torch
import seqlight as sl

class Wide(torch.nn.Module):
    def forward(self, X):  # two layers of 16 MiB
        return X.float().repeat(1, 8, 32).relu().mean(dim=(1, 2))

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

X = torch.ones(32 * 40, 4, 64)
sl.predict(Wide(), X[:64], batch_size=64, device="cpu")
before = faults()
sl.predict(Wide(), X, batch_size=64, device="cpu")
print(faults() - before)
"""


EXPLAIN = """
import resource, torch
import seqlight as sl

layers = [torch.nn.Conv1d(4, 64, 9, padding=4), torch.nn.Tanh()]
for _ in range(6):  # each keeps 10 MB of each batch
    layers += [torch.nn.Conv1d(64, 64, 1), torch.nn.Tanh()]
model = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(64 * 1000, 1)).eval()
X = sl.random_one_hot((16, 4, 1000), random_state=0).float()

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

for n in (2, 16):
    before = faults()
    sl.deep_lift_shap(model, X[:n], n_shuffles=20, batch_size=40, device="cpu")
    print(faults() - before)
"""


def printed(code):
    # Not in a fork, whose first batch would need pages for what the server has loaded too.
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    return [int(line) for line in done.stdout.split()]


@glibc
def test_a_batch_reuses_the_pages_of_the_one_before(python):
    # There are 20 batches, each of which needs pages for 32 MiB.
    assert int(python("-c", PREDICT).stdout) < 4 * 2**25 // 4096


@glibc
def test_many_layers_reuse_their_pages_too():
    first, last = printed(EXPLAIN)
    assert last < 2 * first  # for eight batches


@pytest.fixture
def limits(monkeypatch):
    """Return the limits that are set."""
    found = []
    monkeypatch.setattr(memory_pages, "_mallopt", lambda: lambda *what: found.append(what))
    return found


def test_the_limit_is_reset_after_an_error(limits):
    with pytest.raises(ZeroDivisionError), memory_pages.keep_freed_pages(CPU):
        raise ZeroDivisionError
    assert limits[0] == (memory_pages.M_TRIM_THRESHOLD, memory_pages.KEPT)
    assert limits[-1] == (memory_pages.M_TRIM_THRESHOLD, memory_pages.LEARNT)


def test_the_limit_stays_while_another_call_runs(limits):
    with memory_pages.keep_freed_pages(CPU):
        with memory_pages.keep_freed_pages(CPU):
            pass
        assert limits[-1] == (memory_pages.M_TRIM_THRESHOLD, memory_pages.KEPT)


def test_nothing_is_set_for_other_devices(limits):
    with memory_pages.keep_freed_pages(torch.device("meta")):
        pass
    assert not limits


@glibc
@pytest.mark.parametrize(
    ("name", "value"), [("MALLOC_TRIM_THRESHOLD_", "1000000"), ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")]
)
def test_limits_set_in_the_environment_are_kept(monkeypatch, name, value):
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    memory_pages._mallopt.cache_clear()
    try:
        monkeypatch.setenv(name, value)
        assert memory_pages._mallopt() is None
    finally:
        memory_pages._mallopt.cache_clear()
