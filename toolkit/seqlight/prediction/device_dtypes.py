"""The dtypes in which a device computes."""

from __future__ import annotations

import torch


def has_float64(device: torch.device) -> bool:
    """Return whether a device computes in float64; MPS does not."""
    if device.type in ("cpu", "cuda"):
        return True
    try:
        torch.empty(0, dtype=torch.float64, device=device)
    except (RuntimeError, TypeError):
        return False
    return True


def widest_dtype(device: torch.device) -> torch.dtype:
    """Return the floating-point dtype with the most digits on a device: float64, or float32 where there is none.

    Examples
    --------
    >>> widest_dtype(torch.device("cpu"))
    torch.float64
    """
    return torch.float64 if has_float64(device) else torch.float32
