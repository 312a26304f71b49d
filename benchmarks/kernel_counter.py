"""Count the kernels that a device would be asked to launch, and the bytes that they would move."""

from __future__ import annotations

import contextlib
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


class KernelCounter(TorchDispatchMode):
    """Counts each operation that reaches a backend as one kernel, which reads its inputs once and writes its outputs.

    What lies in memory once counts once, such as a tensor that is expanded. A wait for one number counts as a kernel
    of no bytes. Kernels of Triton count by their launches, with the bytes of the tensors that they are given; so do
    those of its interpreter, which computes on the CPU.
    """

    def __init__(self) -> None:
        super().__init__()
        self.launches: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call `func`, and count it unless it is a view."""
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in VIEWS:
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
    def counting_triton(self) -> Iterator[None]:
        """Count the launches of Triton's interpreter inside this context; what it does itself does not count."""
        from triton.runtime.interpreter import InterpretedFunction

        launch = InterpretedFunction.run

        def run(kernel: Any, *args: Any, **kwargs: Any) -> Any:
            self.count(f"triton {kernel.__name__}", bytes_of([*args, *kwargs.values()]))
            with _disable_current_modes():
                return launch(kernel, *args, **kwargs)

        with mock.patch.object(InterpretedFunction, "run", run):
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
