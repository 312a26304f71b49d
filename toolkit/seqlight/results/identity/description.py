"""Describe anything that may affect what is computed, by a digest that is the same in every process."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping
from types import (
    BuiltinFunctionType,
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any

import numpy as np
from torch import Tensor, nn

from seqlight.errors import InputError, kind_of
from seqlight.results.identity.arrays import digest_of, digest_of_array
from seqlight.results.identity.classes import class_facts
from seqlight.results.identity.functions import function_facts, module_facts
from seqlight.results.identity.modules import (
    attributes_of,
    code_of_classes,
    hooks_of,
    hooks_of_all,
    modules_of,
    names_read_in,
    structure_of,
    tensors_of,
    uncompiled,
)
from seqlight.results.identity.objects import Indescribable, object_facts
from seqlight.results.identity.origins import Origin, name_of, origin_of, root_of

PLAIN = {type(None), bool, int, float, complex, str, bytes, type(...), type(NotImplemented)}
SLOTS = BuiltinFunctionType | MethodWrapperType | WrapperDescriptorType | MethodDescriptorType
SHORT = 60


class Description:
    """A description of one value and its parts, under way.

    Parameters
    ----------
    name : str
        The name of the argument, for error messages.
    strict : bool
        Whether to refuse what cannot be described, instead of describing it by its class.

    Examples
    --------
    >>> def squares(n):
    ...     return [x * x for x in range(n)]
    >>> first = Description().describe(squares)
    >>> Description().describe(squares) == first, Description().describe(sum) == first
    (True, False)
    """

    def __init__(self, name: str = "an argument", *, strict: bool = True) -> None:
        self.path, self.strict = [name], strict
        # Values by their id, with a reference, so that no other value can get the same id.
        self._known: dict[tuple[Any, ...], tuple[Any, str]] = {}

    def describe(self, value: Any, name: str = "", names: tuple[str, ...] = (), *, made: bool = False) -> str:
        """Return a short text that is equal for values that compute the same.

        Parameters
        ----------
        value : any
        name : str
            The name by which it is known where it was found.
        names : tuple of str
            For a module, the attributes that are looked up in it.
        made : bool
            For a class, whether it is described as the class of an existing object.

        Raises
        ------
        InputError
            If something cannot be described, and `strict` is set.
        """
        if type(value) in PLAIN:
            return _short(repr(value))
        key = (id(value), made, names if isinstance(value, ModuleType) else ())
        if key in self._known:
            return self._known[key][1]
        self._known[key] = value, f"the same {_called(value)}"  # until it is described, for it may contain itself
        self.path.append(name)
        try:
            found = digest_of(*self._facts(value, names, made))
        except Indescribable:
            found = self._refused(value)
        except RecursionError:
            raise self._error(value) from None
        finally:
            self.path.pop()
        self._known[key] = value, found
        return found

    def describe_model(self, model: nn.Module, *, deep: bool = True) -> dict[str, Any]:
        """Return a model's class and digests of its structure and weights; if `deep`, of code, attributes and hooks."""
        model = uncompiled(model)
        places = dict(modules_of(model))
        self._know({**places, **dict(model.named_parameters()), **dict(model.named_buffers())})
        plain = {
            "class": name_of(type(model)),
            "structure": digest_of(structure_of(model)),
            "weights": digest_of([(name, self._weight(name, one)) for name, one in tensors_of(model).items()]),
        }
        if not deep:
            return plain
        read = names_read_in(model)
        found = {
            "code": {name: digest_of(one) for name, one in code_of_classes(model, self.describe).items()},
            "attributes": {path: one for path, module in places.items() if (one := self._attributes(module, read))},
            "hooks": {path: one for path, module in places.items() if (one := self._hooks(hooks_of(module)))},
        }
        if everywhere := self._hooks(hooks_of_all()):
            found["hooks"]["every module"] = everywhere
        return plain | {name: one for name, one in found.items() if one}

    def _know(self, parts: Mapping[str, Any]) -> None:
        """Describe parts of a model by their names wherever else they are found."""
        self._known.update({(id(one), False, ()): (one, f"the model's {name}") for name, one in parts.items()})

    def _weight(self, name: str, one: Any) -> str:
        return digest_of_array(one) if isinstance(one, Tensor) else self.describe(one, name)

    def _attributes(self, module: nn.Module, read: frozenset[str]) -> Any:
        hung = sorted(attributes_of(module, read).items())
        own = origin_of(type(module).__module__) is Origin.OWN
        with contextlib.nullcontext() if own else self._leniently():
            found = {name: self.describe(one, f"attribute {name!r} of {type(module).__name__}") for name, one in hung}
        return found if own or not found else digest_of(sorted(found.items()))

    def _hooks(self, hooks: list[tuple[str, Any]]) -> str:
        found = [(kind, self.describe(hook, "a hook")) for kind, hook in hooks]
        return digest_of(found) if found else ""

    @contextlib.contextmanager
    def _leniently(self) -> Iterator[None]:
        strict, self.strict = self.strict, False
        try:
            yield
        finally:
            self.strict = strict

    def _facts(self, value: Any, names: tuple[str, ...], made: bool) -> tuple[Any, ...]:
        if isinstance(value, Tensor):
            return ("array", digest_of_array(value), *self._hung(value))
        if isinstance(value, np.ndarray):
            return self._of_numpy(value)
        if isinstance(value, nn.Module):
            return ("model", sorted(self.describe_model(value).items()))
        if isinstance(value, FunctionType):
            return function_facts(value, self.describe)
        if isinstance(value, type):
            return class_facts(value, self.describe, made=made)
        if isinstance(value, ModuleType):
            return module_facts(value, names, self.describe)
        return self._of_callable(value) or self._of_container(value) or object_facts(value, self.describe)

    def _of_callable(self, value: Any) -> tuple[Any, ...] | None:
        if isinstance(value, MethodType):
            return ("method", self.describe(value.__func__), self.describe(value.__self__, "the object of a method"))
        if type(value) is functools.partial:
            keywords = sorted(value.keywords.items())
            return (
                "partial",
                self.describe(value.func),
                self.describe(value.args),
                [(key, self.describe(one)) for key, one in keywords],
            )
        if isinstance(value, functools._lru_cache_wrapper):
            return ("cached", self.describe(value.__wrapped__))
        if isinstance(value, SLOTS):
            owner = getattr(value, "__self__", None)
            bound = owner is not None and not isinstance(owner, ModuleType | type)
            return ("built in", name_of(value), self.describe(owner) if bound else "")
        if isinstance(value, staticmethod | classmethod):
            return (type(value).__name__, self.describe(value.__func__))
        if isinstance(value, property):
            return ("property", *(self.describe(one) for one in (value.fget, value.fset, value.fdel)))
        if isinstance(value, MemberDescriptorType | GetSetDescriptorType):
            return ("slot", value.__name__)
        if root_of(type(value).__module__) == "numba" and hasattr(value, "py_func"):
            return ("compiled", self.describe(value.py_func))
        return None

    def _of_container(self, value: Any) -> tuple[Any, ...] | None:
        kind = type(value)
        if kind is list or kind is tuple:
            plain = set(map(type, value)) <= PLAIN
            return (
                kind.__name__,
                repr(value) if plain else [self.describe(one, f"[{i}]") for i, one in enumerate(value)],
            )
        if kind is dict or kind is MappingProxyType:
            return ("dict", [(self.describe(key), self.describe(one, f"[{key!r}]")) for key, one in value.items()])
        if isinstance(value, set | frozenset):
            more = [] if kind in (set, frozenset) else [self.describe(kind, made=True), self.describe(vars(value))]
            return ("set", sorted(self.describe(one) for one in value), *more)
        return None

    def _of_numpy(self, value: np.ndarray[Any, Any]) -> tuple[Any, ...]:
        if value.dtype.hasobject:
            return ("objects", str(value.dtype), value.shape, self.describe(value.tolist()))
        mask = (
            [digest_of_array(np.ma.getmaskarray(value))] if isinstance(value, np.ma.MaskedArray) else self._hung(value)
        )
        return ("array", digest_of_array(value), *mask)

    def _hung(self, array: Any) -> list[Any]:
        """Return the class and the attributes of an array, if it is of a subclass or has any."""
        hung = sorted(getattr(array, "__dict__", {}).items())
        if origin_of(type(array).__module__) is Origin.KNOWN and not hung:
            return []
        return [
            self.describe(type(array), made=True),
            [(name, self.describe(one, f"attribute {name!r}")) for name, one in hung],
        ]

    def _refused(self, value: Any) -> str:
        if self.strict:
            raise self._error(value)
        return f"of class {name_of(type(value))}"

    def _error(self, value: Any) -> InputError:
        where = " in ".join(name for name in reversed(self.path) if name)
        return InputError(
            f"{where} is {kind_of(value)}, and there is no telling whether it is the same in another process: pass "
            "something else, or identity='...', a name that you change whenever what is computed changes."
        )


def _called(value: Any) -> str:
    return name_of(value) if isinstance(value, type | FunctionType) else type(value).__qualname__


def _short(text: str) -> str:
    return text if len(text) <= SHORT else digest_of(text)
