"""Parts of a mapping that are set one at a time: ``--model.init_args.width 64`` changes one name of a YAML file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from seqlight.cli.usage import UsageError

CLASS_PATH, INIT_ARGS = "class_path", "init_args"


def set_parts(name: str, before: Any, parts: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return a mapping with parts of it set; each is a path of names with a dot between, and a value as it is typed.

    The name of a class is the mapping that has it as ``class_path``. Another ``class_path`` takes the ``init_args`` of
    the former class away.

    Raises
    ------
    UsageError
        If what was there has no parts.

    Examples
    --------
    >>> set_parts("model", "mine.Net", [("init_args.width", "64")])
    {'class_path': 'mine.Net', 'init_args': {'width': 64}}
    >>> set_parts("init_args", {"width": 32, "depth": 2}, [("width", "64")])
    {'width': 64, 'depth': 2}
    """
    whole = _as_mapping(name, before)
    for path, value in parts:
        *outer, last = path.split(".")
        inner = whole
        for one in outer:
            below = inner.get(one)
            inner[one] = inner = _as_mapping(f"{name}.{one}", below)
        if last == CLASS_PATH and inner.get(CLASS_PATH) not in (None, value):
            inner.pop(INIT_ARGS, None)
        inner[last] = read_value(value)
    return whole


def _as_mapping(name: str, found: Any) -> dict[str, Any]:
    if found is None:
        return {}
    if isinstance(found, Mapping):
        return dict(found)
    if isinstance(found, str) and "." in found:
        return {CLASS_PATH: found}
    raise UsageError(f"{name} is {found!r}, of which no part can be set: expected names with values")


def read_value(text: str) -> Any:
    """Return a typed value: a number, a word, or what it is as YAML.

    Examples
    --------
    >>> read_value("64"), read_value("1e-3"), read_value("[1, 2]"), read_value("same"), read_value("null")
    (64, 0.001, [1, 2], 'same', None)
    """
    import yaml

    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            pass
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def value_before(name: str, typed: list[str], configs: Iterable[Path], other_names: Mapping[str, str]) -> Any:
    """Return what an option is without its parts: the last one typed, else that of the last YAML file that has it."""
    if typed:
        value = typed[-1]
        return read_value(value) if value.lstrip().startswith("{") else value
    found = None
    for path in configs:
        for key, one in _settings(path).items():
            if other_names.get(key, key) == name:
                found = one
    return found


def without_typed(path: Path, typed: Iterable[str], other_names: Mapping[str, str]) -> str:
    """Return what the parser is given for a YAML file: its path, or its content without mappings that are also typed.

    The parser would compare both, and cannot where they are names of classes with arguments. Nor does it know the other
    names of options.

    Raises
    ------
    UsageError
        If the file has an option under two names.
    """
    settings, typed = _settings(path), set(typed)
    for key in settings:
        if key in other_names and other_names[key] in settings:
            raise UsageError(f"there are {key} and {other_names[key]} in {path}, two names of one option")
    named = {other_names.get(key, key): one for key, one in settings.items()}
    kept = {key: one for key, one in named.items() if not (isinstance(one, Mapping) and key in typed)}
    return str(path) if kept == settings else as_json(kept)


def _settings(path: Path) -> dict[Any, Any]:
    """Return the content of a YAML file; nothing if it cannot be read, for the parser says what is wrong with it."""
    import yaml

    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return settings if isinstance(settings, dict) else {}


def as_json(value: Any) -> str:
    """Return a mapping as text for the parser; dates and the like, which YAML has, as they are written."""
    return json.dumps(value, default=str)
