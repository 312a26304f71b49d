"""The table finds a kernel by step, device and dtype, and rules and layers ask it for no step that it does not have."""

import re
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from multipliers import only_kernels, plain_rules
from seqlight.attribution.engine import layer_contributions
from seqlight.attribution.kernels import table
from seqlight.attribution.kernels.table import KERNELS, Kernel, kernel_for
from seqlight.attribution.rules import elementwise
from seqlight.native.library import library

ASKING = [*Path(elementwise.__file__).parent.glob("*.py"), Path(layer_contributions.__file__)]
STEPS = {kernel.step for kernel in KERNELS}
SERVED = {key: [] for key in ((kernel.step, kernel.device) for kernel in KERNELS)}
for kernel in KERNELS:
    SERVED[kernel.step, kernel.device].extend(kernel.dtypes)


def test_rules_and_layers_ask_for_the_steps_of_the_table():
    asked = {step for path in ASKING for step in re.findall(r'"(\w+\.\w+)"', path.read_text())}
    assert asked == STEPS
    assert {step.split(".")[0] for step in STEPS} <= {path.stem for path in ASKING}


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: f"{kernel.step}-{kernel.device}")
def test_a_kernel_serves_its_device_and_dtypes(kernel):
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64, torch.int64):
        found = kernel_for(kernel.step, kernel.device, dtype)
        if dtype in kernel.dtypes:
            assert found is (kernel.function if kernel.is_available() else None)
        elif dtype not in SERVED[kernel.step, kernel.device]:
            assert found is None
    assert kernel_for(kernel.step, "meta", torch.float32) is None
    with plain_rules():
        assert kernel_for(kernel.step, kernel.device, torch.float32) is None


def test_compiled_kernels_need_the_library():
    assert table.compiled() == (library() is not None)
    assert table.vectorised() == (library() is not None and library().lanes() > 0)


def test_another_backend_is_a_line_of_the_table():
    def double(*tensors, **_):
        return torch.full_like(tensors[3], 2.0)

    x = torch.randn(3, dtype=torch.float64)
    with only_kernels(Kernel("elementwise.secant", double, "cpu", (torch.float64,), lambda: True)):
        found = elementwise.secant(x, F.relu(x), x, x, F.relu(x))
    assert torch.equal(found, torch.full((3,), 2.0).double())
