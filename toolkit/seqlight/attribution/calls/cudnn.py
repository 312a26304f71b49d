"""Do without cuDNN for a while, and leave all its other settings alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from seqlight.prediction.process_settings import ProcessSetting


@contextlib.contextmanager
def _switched_off() -> Iterator[None]:
    """Switch cuDNN off, and back to what it was.

    ``torch.backends.cudnn.flags`` reads and writes all settings at once, and raises where a program says by
    ``fp32_precision`` which operations may use TF32.
    """
    before = torch._C._get_cudnn_enabled()
    torch._C._set_cudnn_enabled(False)
    try:
        yield
    finally:
        torch._C._set_cudnn_enabled(before)


#: Its kernels refuse the backward pass of a recurrent network in evaluation mode.
WITHOUT_CUDNN = ProcessSetting(_switched_off)
