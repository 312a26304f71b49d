"""The names of targets, and how a text or a mapping becomes one."""

from __future__ import annotations

import ast
import difflib
import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from seqlight.errors import InputError, kind_of
from seqlight.targets.column import Column
from seqlight.targets.contrast import Contrast, Target
from seqlight.targets.counts import Counts
from seqlight.targets.log_odds import LogOdds
from seqlight.targets.named_target import NamedTarget
from seqlight.targets.profile import Profile
from seqlight.targets.specificity import Specificity
from seqlight.targets.window_mean import WindowMean

OURS: tuple[type[NamedTarget], ...] = (Column, Counts, LogOdds, Profile, Specificity, WindowMean)
GROUP = "seqlight.targets"


def named_targets() -> dict[str, Callable[..., Any]]:
    """Return each class of targets by its name: those of seqlight, and of installed packages that name theirs.

    Examples
    --------
    >>> sorted(named_targets())[:3]
    ['column', 'contrast', 'counts']
    """
    known = _own_targets()
    return {one.name: one.load() for one in entry_points(group=GROUP) if one.name not in known} | known


def _own_targets() -> dict[str, Callable[..., Any]]:
    return {one.name: one for one in OURS} | {"contrast": Contrast}


def as_target(value: Any) -> Target:
    """Return a target, as the command line and YAML files give it.

    Parameters
    ----------
    value : str, mapping, list or target
        A text as in :func:`parse`; a mapping with a ``class_path``, which may be such a name, and ``init_args``; a
        list of these; or anything that is a target already.

    Raises
    ------
    InputError
        If there is no such target, or its arguments cannot be used.

    Examples
    --------
    >>> as_target({"class_path": "specificity", "init_args": {"task": 3}})
    Specificity(task=3, others=None, against='mean', window=None, head=None, channels_last=False)
    """
    if isinstance(value, str):
        return parse(value)
    if isinstance(value, list):
        return [as_target(one) for one in value]  # type: ignore[misc]
    if not isinstance(value, Mapping):
        return value  # type: ignore[no-any-return]
    unknown = set(value) - {"class_path", "init_args"}
    if "class_path" not in value or unknown:
        raise InputError(f"target is {dict(value)!r}: expected a mapping with class_path and, if needed, init_args.")
    path, arguments = str(value["class_path"]), dict(value.get("init_args") or {})
    made = _find(path)
    read = as_target if made is Contrast else _as_value
    found: Target = _make(made, path, [], {name: read(one) for name, one in arguments.items()})
    return found


def read_text(target: Target) -> Target:
    """Return the target that a text stands for, as :func:`parse` does, and any other unchanged.

    Raises
    ------
    InputError
        If a text stands for none.

    Examples
    --------
    >>> str(read_text("Counts(head=1)")), read_text(3)
    ('counts(head=1)', 3)
    """
    return parse(target) if isinstance(target, str) else target


def parse(text: str) -> Target:
    """Return the target that a text stands for.

    Parameters
    ----------
    text : str
        A column (``3``) or place (``(3, 500)``); a name (``counts``), with arguments as in Python
        (``profile(head=0, weights=constant)``, ``contrast(0, counts(head=1))``); a list of these in brackets; or the
        dotted path of a function of what the model returns (``package.module.function``).

    Raises
    ------
    InputError
        If it stands for none.

    Examples
    --------
    >>> parse("0"), parse("(1, -1)"), parse("contrast(2, column(0))")
    (0, (1, -1), Contrast(a=2, b=Column(index=0, head=None)))
    """
    try:
        found: Target = _Text(text).target(ast.parse(text.strip(), mode="eval").body)
        return found
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, InputError):
            raise
        raise _unknown(text) from None


class _Text:
    """A text that is read as an expression of Python, of which nothing is run."""

    def __init__(self, text: str) -> None:
        self.text = text

    def target(self, node: ast.expr) -> Any:
        match node:
            case ast.Name() | ast.Attribute():
                path = ast.unparse(node)
                found = _find(path)
                return _make(found, path, [], {}) if isinstance(found, type) else found
            case ast.Call():
                return self._call(node)
            case ast.List():
                return [self.target(one) for one in node.elts]
        return self._whole_numbers(node)

    def _call(self, node: ast.Call) -> Any:
        path = ast.unparse(node.func)
        found = _find(path)
        read = self.target if found is Contrast else self._value
        if any(isinstance(one, ast.Starred) for one in node.args) or any(one.arg is None for one in node.keywords):
            raise _unknown(self.text)
        arguments = {str(one.arg): read(one.value) for one in node.keywords}
        return _make(found, path, [read(one) for one in node.args], arguments)

    def _value(self, node: ast.expr) -> Any:
        """Return the value of an argument: a literal, in which a name need not have quotation marks."""
        if isinstance(node, ast.Name):
            return node.id
        if isinstance(node, ast.Tuple | ast.List):
            return tuple(self._value(one) for one in node.elts)
        return ast.literal_eval(node)

    def _whole_numbers(self, node: ast.expr) -> Any:
        found = ast.literal_eval(node)
        numbers = found if isinstance(found, tuple) else (found,)
        if not numbers or not all(type(one) is int for one in numbers):
            raise _unknown(self.text)
        return found


def _find(path: str) -> Callable[..., Any]:
    """Return the class or function of a name, or of a dotted path."""
    if own := _own_targets().get(path):  # without a look at what is installed, which may not even load
        return own
    known = named_targets()
    # Messages and the documentation of Python write them as classes.
    classes: dict[str, Callable[..., Any]] = {one.__name__: one for one in (*OURS, Contrast)}
    if found := known.get(path) or classes.get(path):
        return found
    module, _, last = path.rpartition(".")
    if not module or not all(part.isidentifier() for part in path.split(".")):
        raise _unknown(path)
    try:
        found = getattr(import_module(module), last)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f"target is {path!r}, which cannot be imported ({error}): expected 'package.module.function'."
        ) from None
    if not callable(found):
        raise InputError(f"target is {path!r}, which is {kind_of(found)}: expected a function of the model's output.")
    return found  # type: ignore[no-any-return]


def _make(found: Callable[..., Any], path: str, arguments: list[Any], named: Mapping[str, Any]) -> Any:
    """Return an instance of a class of targets."""
    if not isinstance(found, type):
        raise InputError(f"target {path!r} is a function: expected its name alone, without arguments.")
    try:
        return found(*arguments, **named)
    except TypeError as error:
        reason = str(error).replace(f"{found.__qualname__}.__init__()", path)
        taken = ", ".join(inspect.signature(found).parameters)
        raise InputError(f"target {path!r} cannot be made: {reason}; it takes {taken}.") from None


def _as_value(value: Any) -> Any:
    """Return a value of YAML as an argument: it has lists where tuples are meant."""
    return tuple(map(_as_value, value)) if isinstance(value, list) else value


def _unknown(text: str) -> InputError:
    if text.count("(") != text.count(")"):
        return InputError(f"target is {text!r}: expected as many brackets that close as that open.")
    names = sorted(named_targets())
    near = difflib.get_close_matches(text.partition("(")[0].strip(), names, n=1)
    hint = f"did you mean {near[0]!r}, or " if near else "expected "
    return InputError(
        f"target is {text!r}: {hint}a column such as 0, a name ({', '.join(names)}), also with arguments as in "
        "counts(head=1), or the dotted path of a function."
    )
