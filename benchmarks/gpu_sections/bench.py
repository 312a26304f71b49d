"""What the sections share: the device, seconds and bytes on it, and the problems that were found."""

from __future__ import annotations

import contextlib
import gc
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


@dataclass
class Bench:
    """The device that is checked, and what has been found on it so far.

    Attributes
    ----------
    device : torch.device
        Where models run.
    out : Path
        The folder for files.
    small : bool
        Small networks and data, to rehearse on a CPU.
    budget : float
        Seconds in all.
    plugin : str, optional
        As ``module:function``, what was called first, such as a function that registers a device.
    problems : list of str
        What did not hold.
    """

    device: torch.device
    out: Path
    small: bool = False
    budget: float = 540.0
    plugin: str | None = None
    problems: list[str] = field(default_factory=list)
    begun: float = field(default_factory=time.perf_counter)

    @property
    def cuda(self) -> bool:
        """Whether the device is a GPU of CUDA or ROCm."""
        return self.device.type == "cuda"

    @property
    def accelerated(self) -> bool:
        """Whether the device is anything but the CPU."""
        return self.device.type != "cpu"

    @property
    def memory(self) -> Any:
        """The module of PyTorch that counts the device's memory, such as ``torch.cuda``, or None."""
        module = getattr(torch, self.device.type, None) if self.accelerated else None
        return module if hasattr(module, "max_memory_allocated") else None

    @property
    def accelerator(self) -> str | None:
        """The name of Lightning's accelerator for the device, or None if it has none."""
        return {"cuda": "cuda", "cpu": "cpu", "mps": "mps"}.get(self.device.type)

    def remaining(self) -> float:
        """Return the seconds that are left."""
        return self.budget - (time.perf_counter() - self.begun)

    def wait(self) -> None:
        """Wait until the device has done all that it was asked for."""
        if self.accelerated:
            getattr(torch, self.device.type).synchronize()

    def seconds(self, call: Callable[[], object], repeats: int = 3, most: float = 20.0) -> dict[str, float]:
        """Return the least and the median seconds of a call, after one to warm up; no repeat begins after `most`."""
        call()
        self.wait()
        taken: list[float] = []
        while len(taken) < (1 if self.small else repeats) and sum(taken) < most:
            gc.collect()
            start = time.perf_counter()
            call()
            self.wait()
            taken.append(time.perf_counter() - start)
        return {"least": min(taken), "median": statistics.median(taken)}

    def peak_bytes(self, call: Callable[[], object]) -> int | None:
        """Return by how many bytes a call goes beyond what the device held before, or None if it does not count."""
        if self.memory is None:
            return None
        gc.collect()
        self.empty_cache()
        before = self.memory.memory_allocated()
        self.memory.reset_peak_memory_stats()
        call()
        self.wait()
        return int(self.memory.max_memory_allocated()) - int(before)

    def empty_cache(self) -> None:
        """Give memory back that PyTorch keeps and does not use."""
        if self.memory is not None and hasattr(self.memory, "empty_cache"):
            self.memory.empty_cache()

    def outcome(self, call: Callable[[], object]) -> str:
        """Return "ok", or what a call raised."""
        try:
            call()
            self.wait()
        except Exception as error:
            return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:300]}"
        return "ok"

    def expect(self, holds: bool, what: str) -> None:
        """Note a problem, unless something holds."""
        if not holds:
            self.problems.append(what)
            self.say(f"PROBLEM: {what}")

    def expect_near(self, found: dict[str, Any], limit: float, what: str) -> None:
        """Note a problem, unless a `difference` is below a limit by norm."""
        apart = f"{found['norm']:.1e} apart by norm" if "norm" in found else "nothing to compare"
        self.expect(found.get("norm", limit) < limit, f"{what}: {apart}, where less than {limit:.3g} was due: {found}")

    def say(self, line: str) -> None:
        """Print a line at once."""
        print(f"  {line}", flush=True)


def difference(found: Tensor, wanted: Tensor) -> dict[str, float]:
    """Return how far a tensor is from the one wanted: by norm, and at the worst place over the largest value.

    Examples
    --------
    >>> difference(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 1.0]))["worst"]
    1.0
    """
    a, b = (one.detach().cpu().double() for one in (found, wanted))
    gap = (a - b).abs()
    return {"norm": float((a - b).norm() / b.norm()), "worst": float(gap.max() / b.abs().max())}


def with_warnings(call: Callable[[], T]) -> tuple[T, list[str]]:
    """Return what a call returns, and how its warnings begin."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = call()
    return found, [f"{one.category.__name__}: {str(one.message)[:160]}" for one in caught]


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """Silence warnings, such as Captum's notice about its hooks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def short_floats(convolutions: bool, products: bool = False) -> Iterator[None]:
    """Allow TF32 in convolutions and in products of matrices, or not, as PyTorch's own switches do."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32
    cudnn.allow_tf32, matmul.allow_tf32 = convolutions, products
    try:
        yield
    finally:
        cudnn.allow_tf32, matmul.allow_tf32 = before
