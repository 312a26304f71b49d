"""Count the kernels that a device would be asked to launch, and the bytes that they would move."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any
from unittest import mock

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves

# Operations that launch nothing: views, memory that is not filled, and questions about a tensor.
VIEWS = frozenset(
    """
    _conj _neg_view _reshape_alias _unsafe_view alias as_strided chunk detach diagonal empty empty_like empty_permuted
    empty_strided expand is_same_size lift_fresh mT narrow new_empty new_empty_strided numpy_T permute resize_ select
    set_ slice split split_with_sizes squeeze sym_size t transpose unbind unflatten unfold unsqueeze view view_as_real
    """.split()
)
# Those that only write.
FILLS = frozenset("fill_ full new_full new_ones new_zeros ones ones_like zero_ zeros zeros_like".split())

# What looks at results in seqlight.attribution.explainer, and takes another way where they are no good.
CHECKS = ("is_complete", "require_independent_pairs")


class KernelCounter(TorchDispatchMode):
    """Counts each operation that reaches a backend as one kernel, which reads its inputs once and writes its outputs.

    What lies in memory once counts once, such as a tensor that is expanded. A wait for one number counts as a kernel
    of no bytes. A kernel in Triton counts when it is launched, with the bytes of the tensors that it is given.
    """

    def __init__(self) -> None:
        super().__init__()
        self.launches: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self._empty_is_zero = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call `func`, and count it unless it is a view."""
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in VIEWS:
            if self._empty_is_zero and "empty" in name:
                out.zero_()  # or checks would find what lay there before
            return out
        read, written = tree_leaves((args, kwargs)), tree_leaves(out)
        if name in FILLS or name == "_local_scalar_dense":
            read = []
        elif name in ("scatter_add", "scatter_add_"):
            read = [read[0], *read]  # both reads and writes what it adds to
        self.count(name, bytes_of(read) + bytes_of(written))
        return out

    def count(self, name: str, moved: int) -> None:
        """Count one kernel."""
        self.launches[name] += 1
        self.bytes[name] += moved

    @contextlib.contextmanager
    def counting_triton(self, launching: bool = False) -> Iterator[None]:
        """Let kernels in Triton serve the CPU inside this context, and count their launches.

        Parameters
        ----------
        launching : bool
            Whether Triton's interpreter computes them, which takes minutes for a model of any size. Without that they
            leave zeros, and a call takes the same course, as long as nothing looks at its results.
        """
        from triton.runtime.interpreter import InterpretedFunction

        from seqlight.attribution import explainer
        from seqlight.attribution.kernels import table

        launch = InterpretedFunction.run

        def run(kernel: Any, *args: Any, **kwargs: Any) -> None:
            self.count(f"triton {kernel.__name__}", bytes_of([*args, *kwargs.values()]))
            if launching:
                with _disable_current_modes():
                    launch(kernel, *args, **kwargs)

        kernels = tuple(kernel._replace(device="cpu") for kernel in table.TRITON)
        with contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch.object(InterpretedFunction, "run", run))
            stack.enter_context(mock.patch.object(table, "KERNELS", kernels))
            if not launching:
                stack.enter_context(mock.patch.object(self, "_empty_is_zero", True))
                for check in CHECKS:
                    stack.enter_context(mock.patch.object(explainer, check, return_value=True))
            table.kernel_for.cache_clear()
            stack.callback(table.kernel_for.cache_clear)
            yield


@contextlib.contextmanager
def rules_of_devices() -> Iterator[None]:
    """Let seqlight's rules take the ways that they have for devices, which differ from those for a CPU."""
    rules = "seqlight.attribution.rules."

    def is_cpu(_: Tensor) -> bool:
        return not sys._getframe(1).f_globals["__name__"].startswith(rules)

    with mock.patch.object(Tensor, "is_cpu", property(is_cpu), create=True):
        yield


def bytes_of(leaves: Iterable[Any]) -> int:
    """Return the bytes of all tensors among `leaves`, those of one place in memory once."""
    found: dict[tuple[int, int], int] = {}
    for leaf in leaves:
        if isinstance(leaf, Tensor):
            n = 1
            for size, stride in zip(leaf.shape, leaf.stride(), strict=True):
                n *= size if stride else 1
            found[leaf.data_ptr(), n] = n * leaf.element_size()
    return sum(found.values())
