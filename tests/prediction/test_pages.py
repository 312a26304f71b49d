"""Batches reuse each other's memory."""

import platform
import subprocess
import sys

import pytest

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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep memory as they please")
def test_a_batch_gets_the_pages_of_the_one_before():
    done = subprocess.run([sys.executable, "-c", PREDICT], capture_output=True, text=True, timeout=120, check=True)
    # There are 20 batches, each with pages for 32 MiB.
    assert int(done.stdout) < 4 * 2**25 // 4096
