"""Switch cuDNN off for a while, without touching its other settings."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from seqlight.prediction.process_settings import ProcessSetting


@contextlib.contextmanager
def _switched_off() -> Iterator[None]:
    """Switch cuDNN off inside; restore the setting at the end.

    ``torch.backends.cudnn.flags`` reads and writes all settings at once, and raises in programs that say
    by ``fp32_precision`` which operations may use TF32.
    """
    before = torch._C._get_cudnn_enabled()
    torch._C._set_cudnn_enabled(False)
    try:
        yield
    finally:
        torch._C._set_cudnn_enabled(before)


#: Kernels of cuDNN refuse the backward pass of a recurrent network in evaluation mode.
WITHOUT_CUDNN = ProcessSetting(_switched_off)
