"""A mode sees the bodies of functions of PyTorch, and functions of ours as single operations."""

import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from seqlight.attribution.calls.function_bodies import as_operation, open_body


class Names(TorchFunctionMode):
    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.names.append(getattr(func, "__name__", ""))
        return func(*args, **(kwargs or {}))


def test_the_mode_sees_the_body_of_a_function():
    x = torch.randn(2, 3, 4)
    with Names() as closed:
        expected = F.normalize(x, dim=1)
    assert closed.names == ["normalize"]
    with Names() as open_:
        found = open_body(F.normalize)(x, dim=1)
    assert torch.equal(found, expected)
    assert {"norm", "clamp_min"} <= set(open_.names)


def test_methods_that_are_wrapped_are_opened_too():
    x = torch.rand(3)
    with Names() as seen:
        found = open_body(torch.Tensor.__rsub__)(x, 2.0)
    assert torch.equal(found, 2 - x)
    assert len(seen.names) >= 1


def test_functions_not_written_in_python_have_no_body():
    assert open_body(torch.relu) is None
    assert open_body(torch.Tensor.relu) is None
    assert open_body(F.max_pool1d) is None  # it only chooses between two
    assert open_body(len) is None


def test_a_function_of_ours_is_one_operation():
    @as_operation
    def twice_the_sine(x, times):
        """Say what it is."""
        return times * x.sin()

    x = torch.rand(3)
    with Names() as seen:
        found = twice_the_sine(x, 2)
    assert torch.equal(found, 2 * x.sin())
    assert seen.names == ["twice_the_sine"]
    assert torch.equal(twice_the_sine(x, 2), found)
