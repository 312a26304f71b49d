"""Triton's compiler takes all kernels, for devices that no test needs to have."""

import os
import re
from pathlib import Path

import pytest

from triton_interpreter import HAS_TRITON

pytestmark = pytest.mark.skipif(not HAS_TRITON, reason="Triton is not installed")
SCRIPT = Path(__file__).parents[3] / "fixtures" / "triton_compilation.py"


def compile_ahead(python, folder, *arguments):
    """Return how often each kernel was compiled."""
    environment = {name: one for name, one in os.environ.items() if name != "TRITON_INTERPRET"}
    environment |= {"TRITON_CACHE_DIR": str(folder), "PYTHONWARNINGS": "error"}
    return re.findall(
        r"^_\w+ torch\.\w+ \w+ (\d+)$", python(SCRIPT, *arguments, env=environment, timeout=280).stdout, re.MULTILINE
    )


def test_kernels_compile(python, tmp_path):
    sizes = compile_ahead(python, tmp_path, "elementwise.relu_vjp", "pooling.max_pool", "float32", "80")
    assert len(sizes) >= 3
    assert all(int(size) > 1000 for size in sizes)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("device", ["75", "80", "90", "100", "gfx90a", "gfx942"])
@pytest.mark.reliability(
    "accelerators",
    "all kernels in Triton, compiled to machine code of CUDA and ROCm devices by a machine that has none",
    "the compiler takes each of them",
)
def test_all_kernels_compile(python, tmp_path, device, dtype):
    assert len(compile_ahead(python, tmp_path, dtype, device)) > 15
