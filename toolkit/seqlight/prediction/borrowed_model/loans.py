"""Who has a module at present: several threads may have it at once, and the last gives back what the first took."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqlight.errors import InputError
from seqlight.prediction.borrowed_model.attributes import Attributes

Tensors = dict[str, Tensor | None]

# What else hangs on modules, in which there is no tensor to look for.
_OTHERS = frozenset(map(type, (None, True, 1, 1.0, "", (), [], {}, set(), OrderedDict(), print, lambda: None)))


class Loan:
    """A module that was lent, as it was before.

    Attributes
    ----------
    module : torch.nn.Module
    training : bool
    plain, parameters, buffers : dict
        What hung on it as such, and its parameters and buffers, by name.
    replaced : list of str
        The parameters that others stand in for.
    frozen : list of torch.nn.Parameter
        Those that it shares in freezing.
    data : list of (parameter, tensor)
        What parameters held.
    holders : list of int
        The threads that have it, one as often as it has.
    hung : Attributes or None
        Whatever else hung on it, where that is to be given back too.
    """

    __slots__ = (
        "buffers",
        "data",
        "frozen",
        "holders",
        "hung",
        "module",
        "parameters",
        "plain",
        "replaced",
        "training",
    )

    def __init__(self, module: nn.Module, holder: int) -> None:
        self.module, self.training, self.holders = module, module.training, [holder]
        # What hangs on modules as such: the weight that a weight norm of old makes in each forward, say.
        attributes, self.plain = vars(module), dict[str, Tensor]()
        if not _OTHERS.issuperset(map(type, attributes.values())):
            self.plain = {name: one for name, one in attributes.items() if isinstance(one, Tensor)}
        self.parameters: Tensors = dict(module._parameters) if module._parameters else {}
        # Of all modules, for a forward may register buffers too.
        self.buffers: Tensors = dict(module._buffers)
        self.replaced = list[str]()
        self.frozen = list[nn.Parameter]()
        self.data = list[tuple[nn.Parameter, Tensor]]()
        self.hung: Attributes | None = None


class Loans:
    """The loans of each module, one upon the other where a thread borrows within a call what it has already.

    Of another thread a call takes part in what is lent, as long as it wants it where and as it is. Otherwise it waits.

    Parameters
    ----------
    lend, restore : callable
        Take a new loan in hand, or give a module back.
    """

    def __init__(self, lend: Callable[..., None], restore: Callable[[Loan], None]) -> None:
        self._lend, self._restore = lend, restore
        self._of: dict[int, list[Loan]] = {}
        self._waiting: dict[int, set[int]] = {}  # threads, and for which others each of them waits
        self._change = threading.Condition(threading.RLock())

    def take(self, model: nn.Module, device: torch.device, dtype: torch.dtype | None) -> list[Loan]:
        """Return the loans of all modules of a model, for this thread: new ones, or its part in those that there are.

        Raises
        ------
        InputError
            If this thread would wait for another one that waits for this one.
        """
        me, modules = threading.get_ident(), list(model.modules())
        with self._change:
            if self._of:
                self._wait(me, modules, device, dtype)
            taken, new = list[Loan](), list[Loan]()
            for module in modules:
                held = self._of.get(id(module))
                if held and _others(held, me):
                    held[-1].holders.append(me)
                    taken.append(held[-1])
                else:
                    new.append(Loan(module, me))
            for loan in new:
                self._of.setdefault(id(loan.module), []).append(loan)
            taken += new
            try:
                self._lend(new, device, dtype)
            except BaseException:
                self.give_back(taken)
                raise
            return taken

    def give_back(self, taken: Sequence[Loan]) -> None:
        """Give up this thread's part in loans; those that nobody has a part in any more end."""
        me = threading.get_ident()
        with self._change:
            for loan in taken:
                loan.holders.remove(me if me in loan.holders else loan.holders[0])
            self._end_free([loan.module for loan in taken])
            self._change.notify_all()

    def own(self, module: nn.Module) -> tuple[Tensors, Tensors]:
        """Return the parameters and buffers of a module, its own where it is lent to other threads alone."""
        held = self._of.get(id(module)) if self._of else None
        if held:
            with self._change:
                held = self._of.get(id(module))
                if held and not any(threading.get_ident() in loan.holders for loan in held):
                    return held[0].parameters, held[0].buffers
        return module._parameters, module._buffers  # type: ignore[return-value]

    def after_fork(self) -> None:
        """Forget other threads, which are not there any more."""
        self._change = threading.Condition(threading.RLock())
        self._waiting.clear()
        me, loans = threading.get_ident(), [loan for held in self._of.values() for loan in held]
        for loan in loans:
            loan.holders = [holder for holder in loan.holders if holder == me]
        self._end_free([loan.module for loan in loans])

    def _end_free(self, modules: Sequence[nn.Module]) -> None:
        """End the loans that nobody has a part in, all of them whatever fails."""
        ended = list[Loan]()
        for module in modules:
            held, of_module = self._of.get(id(module), []), list[Loan]()
            while held and not held[-1].holders:
                of_module.append(held.pop())
            if not held:
                self._of.pop(id(module), None)
            # From the end, where the newest loan must be: the one before it knows what the module was before both.
            ended += reversed(of_module)
        try:
            while ended:
                self._restore(ended.pop())
        except BaseException:
            with contextlib.ExitStack() as whatever_fails:
                for loan in ended:
                    whatever_fails.callback(self._restore, loan)
            raise

    def _wait(self, me: int, modules: Sequence[nn.Module], device: torch.device, dtype: torch.dtype | None) -> None:
        try:
            while others := self._in_the_way(me, modules, device, dtype):
                self._waiting[me] = others
                if self._waits_for(others, me):
                    raise InputError(
                        "the model is in use by another thread in another dtype or on another device, which waits for "
                        "this one: give each thread a model of its own, copy.deepcopy(model)."
                    )
                self._change.wait()
        finally:
            self._waiting.pop(me, None)

    def _in_the_way(
        self, me: int, modules: Sequence[nn.Module], device: torch.device, dtype: torch.dtype | None
    ) -> set[int]:
        """Return the threads that have modules in another place than is wanted."""
        found = set[int]()
        for module in modules if self._of else ():
            held = self._of.get(id(module))
            others = _others(held, me) if held else None
            if held and others and not _fits(held, device, dtype):
                found |= others
        return found

    def _waits_for(self, others: set[int], me: int) -> bool:
        met, left = set[int](), set(others)
        while left:
            one = left.pop()
            if one == me:
                return True
            met.add(one)
            left |= self._waiting.get(one, set()) - met
        return False


def _others(held: Sequence[Loan], me: int) -> set[int]:
    return {holder for loan in held for holder in loan.holders} - {me}


def _fits(held: Sequence[Loan], device: torch.device, dtype: torch.dtype | None) -> bool:
    """Return whether a module that is lent is as it is wanted, and will be whoever of those that have it ends first."""
    module, first = held[0].module, held[0]
    for kind in ("parameters", "buffers"):
        now = dict(getattr(module, f"_{kind}"))
        for name, own in getattr(first, kind).items():
            if own is None or now.get(name) is None:
                continue
            as_now = _place(now[name])
            wanted = device, (dtype or _own_dtype(first, own)) if own.is_floating_point() else own.dtype
            later = (getattr(loan, kind).get(name) for loan in held[1:])
            if as_now != wanted or any(_place(one) != as_now for one in later if one is not None):
                return False
    return True


def _own_dtype(loan: Loan, one: Tensor) -> torch.dtype:
    # A scripted module keeps its parameters, and they hold other data.
    return next((data.dtype for parameter, data in loan.data if parameter is one), one.dtype)


def _place(one: Tensor) -> tuple[Any, ...]:
    return one.device, one.dtype
