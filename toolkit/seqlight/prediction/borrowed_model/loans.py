"""The register of borrowed modules: threads may share a loan, and the last one restores what the first one found."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqlight.errors import InputError
from seqlight.prediction.borrowed_model.attributes import AttributeSnapshot

Tensors = dict[str, Tensor | None]

# Types of attributes that are no tensors; a module with only these need not be searched for any.
_NOT_TENSORS = frozenset(map(type, (None, True, 1, 1.0, "", (), [], {}, set(), OrderedDict(), print, lambda: None)))


class Loan:
    """A borrowed module, with its state from before.

    Attributes
    ----------
    module : torch.nn.Module
    training : bool
    plain_tensors, parameters, buffers : dict
        Its tensors by name: those that are plain attributes, its parameters and its buffers.
    replaced : list of str
        The names of parameters for which copies were substituted.
    frozen : list of torch.nn.Parameter
        The parameters that this loan froze.
    data : list of (parameter, tensor)
        The data that parameters had.
    holders : list of int
        The threads that hold the loan, each as many times as it acquired it.
    attributes : AttributeSnapshot or None
        Its other attributes, if they are to be restored too.
    """

    __slots__ = (
        "attributes",
        "buffers",
        "data",
        "frozen",
        "holders",
        "module",
        "parameters",
        "plain_tensors",
        "replaced",
        "training",
    )

    def __init__(self, module: nn.Module, holder: int) -> None:
        self.module, self.training, self.holders = module, module.training, [holder]
        # Such as the weight that the old weight_norm makes anew in each forward.
        attributes, self.plain_tensors = vars(module), dict[str, Tensor]()
        if not _NOT_TENSORS.issuperset(map(type, attributes.values())):
            self.plain_tensors = {name: one for name, one in attributes.items() if isinstance(one, Tensor)}
        self.parameters: Tensors = dict(module._parameters) if module._parameters else {}
        # Copied even if empty, since a forward may register buffers.
        self.buffers: Tensors = dict(module._buffers)
        self.replaced = list[str]()
        self.frozen = list[nn.Parameter]()
        self.data = list[tuple[nn.Parameter, Tensor]]()
        self.attributes: AttributeSnapshot | None = None


class LoanRegister:
    """The current loans of each module: a stack, since a thread may borrow again within a call what it already holds.

    A call joins the loan of another thread if that has the device and dtype that it needs; otherwise it waits.

    Parameters
    ----------
    lend, restore : callable
        Prepare the modules of new loans, and restore the module of a loan.
    """

    def __init__(self, lend: Callable[..., None], restore: Callable[[Loan], None]) -> None:
        self._lend, self._restore = lend, restore
        self._by_module: dict[int, list[Loan]] = {}  # by id
        self._waiting: dict[int, set[int]] = {}  # by thread: the threads that it waits for
        self._change = threading.Condition(threading.RLock())

    def acquire(self, model: nn.Module, device: torch.device, dtype: torch.dtype | None) -> list[Loan]:
        """Return loans of all modules of a model to this thread: new ones, or current ones that it joins.

        Raises
        ------
        InputError
            If this thread would wait for a thread that waits for it.
        """
        me, modules = threading.get_ident(), list(model.modules())
        with self._change:
            if self._by_module:
                self._wait(me, modules, device, dtype)
            acquired, new = list[Loan](), list[Loan]()
            for module in modules:
                held = self._by_module.get(id(module))
                if held and _other_holders(held, me):
                    held[-1].holders.append(me)
                    acquired.append(held[-1])
                else:
                    new.append(Loan(module, me))
            for loan in new:
                self._by_module.setdefault(id(loan.module), []).append(loan)
            acquired += new
            try:
                self._lend(new, device, dtype)
            except BaseException:
                self.release(acquired)
                raise
            return acquired

    def release(self, loans: Sequence[Loan]) -> None:
        """Give up this thread's hold of `loans`, and end those that no thread holds any more."""
        me = threading.get_ident()
        with self._change:
            for loan in loans:
                loan.holders.remove(me if me in loan.holders else loan.holders[0])
            self._end_unheld([loan.module for loan in loans])
            self._change.notify_all()

    def own_tensors(self, module: nn.Module) -> tuple[Tensors, Tensors]:
        """Return the parameters and buffers of a module: its original ones if only other threads have borrowed it."""
        held = self._by_module.get(id(module)) if self._by_module else None
        if held:
            with self._change:
                held = self._by_module.get(id(module))
                if held and not any(threading.get_ident() in loan.holders for loan in held):
                    return held[0].parameters, held[0].buffers
        return module._parameters, module._buffers  # type: ignore[return-value]

    def after_fork(self) -> None:
        """Forget the other threads, which a forked process does not have."""
        self._change = threading.Condition(threading.RLock())
        self._waiting.clear()
        me, loans = threading.get_ident(), [loan for held in self._by_module.values() for loan in held]
        for loan in loans:
            loan.holders = [holder for holder in loan.holders if holder == me]
        self._end_unheld([loan.module for loan in loans])

    def _end_unheld(self, modules: Sequence[nn.Module]) -> None:
        """End the loans that no thread holds, all of them even if one cannot be restored."""
        ended = list[Loan]()
        for module in modules:
            held, of_module = self._by_module.get(id(module), []), list[Loan]()
            while held and not held[-1].holders:
                of_module.append(held.pop())
            if not held:
                self._by_module.pop(id(module), None)
            # Restored from the end of the list: the newest loan first, then the ones before it.
            ended += reversed(of_module)
        try:
            while ended:
                self._restore(ended.pop())
        except BaseException:
            with contextlib.ExitStack() as remaining:
                for loan in ended:
                    remaining.callback(self._restore, loan)
            raise

    def _wait(self, me: int, modules: Sequence[nn.Module], device: torch.device, dtype: torch.dtype | None) -> None:
        try:
            while others := self._conflicting_threads(me, modules, device, dtype):
                self._waiting[me] = others
                if self._would_deadlock(others, me):
                    raise InputError(
                        "the model is in use by another thread in another dtype or on another device, and that thread "
                        "waits for this one: give each thread a model of its own, copy.deepcopy(model)."
                    )
                self._change.wait()
        finally:
            self._waiting.pop(me, None)

    def _conflicting_threads(
        self, me: int, modules: Sequence[nn.Module], device: torch.device, dtype: torch.dtype | None
    ) -> set[int]:
        """Return the threads that hold any of the modules on another device or in another dtype."""
        found = set[int]()
        for module in modules if self._by_module else ():
            held = self._by_module.get(id(module))
            others = _other_holders(held, me) if held else None
            if held and others and not _fits(held, device, dtype):
                found |= others
        return found

    def _would_deadlock(self, others: set[int], me: int) -> bool:
        """Return whether any of `others` waits for `me`, directly or through other threads."""
        visited, left = set[int](), set(others)
        while left:
            thread = left.pop()
            if thread == me:
                return True
            visited.add(thread)
            left |= self._waiting.get(thread, set()) - visited
        return False


def _other_holders(held: Sequence[Loan], me: int) -> set[int]:
    return {holder for loan in held for holder in loan.holders} - {me}


def _fits(held: Sequence[Loan], device: torch.device, dtype: torch.dtype | None) -> bool:
    """Return whether a borrowed module has this device and dtype, and keeps them whichever of its loans ends first."""
    module, first = held[0].module, held[0]
    for kind in ("parameters", "buffers"):
        current = dict(getattr(module, f"_{kind}"))
        for name, own in getattr(first, kind).items():
            if own is None or current.get(name) is None:
                continue
            placed = _placement(current[name])
            wanted = device, (dtype or _own_dtype(first, own)) if own.is_floating_point() else own.dtype
            later = (getattr(loan, kind).get(name) for loan in held[1:])
            if placed != wanted or any(_placement(one) != placed for one in later if one is not None):
                return False
    return True


def _own_dtype(loan: Loan, tensor: Tensor) -> torch.dtype:
    # A scripted module keeps its parameters while their data are replaced.
    return next((data.dtype for parameter, data in loan.data if parameter is tensor), tensor.dtype)


def _placement(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.device, tensor.dtype
