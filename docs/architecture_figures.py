"""Write the picture and the tables of docs/architecture.md from the import contracts, docstrings and a profiled call.

Usage: ``python docs/architecture_figures.py``; with ``--check`` it only reports whether the page is up to date.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import tomllib
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

import torch
from generated_regions import main, write_files
from svg import BLUE, Drawing

import seqlight as sl

ROOT = Path(__file__).parent.parent
SOURCES = {"seqlight": ROOT / "toolkit" / "seqlight", "seqlight_callbacks": ROOT / "callbacks" / "seqlight_callbacks"}
PICTURE = ROOT / "docs" / "images" / "rooms.svg"
MODEL = "the model's `forward`, and PyTorch"


def layers(container: str) -> list[list[str]]:
    """Return the layers of a package, top first, as the import contract in pyproject.toml has them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (found,) = (one["layers"] for one in settings["contracts"] if one.get("containers") == [container])
    return [[room.strip() for room in layer.split("|")] for layer in found]


def picture(container: str, above: list[list[str]]) -> str:
    """Return an SVG of the layers of a package, beneath those that are given."""
    floors = [*above, *layers(container)]
    drawing = Drawing(760, 54 * len(floors) + 6, "Rooms: each imports only rooms in the rows below its own")
    for i, rooms in enumerate(floors):
        y, width = 16 + 54 * i, 720 / len(rooms)
        for j, room in enumerate(rooms):
            drawing.box(20 + j * width + 4, y, width - 8, 32, room, BLUE)
        if i + 1 < len(floors):
            drawing.arrow([(380, y + 34), (380, y + 52)])
    return str(drawing)


def rooms(container: str, above: list[list[str]]) -> str:
    """Return a table of what each room holds, top first."""
    package, *inner = container.split(".")
    lines = ["| room | what it holds |", "|---|---|"]
    for room in (room for layer in [*above, *layers(container)] for room in layer):
        path = SOURCES[room] if room in SOURCES else SOURCES[package].joinpath(*inner, room)
        path = path if path.is_dir() else path.with_suffix(".py")
        lines.append(f"| [`{room}`](../{path.relative_to(ROOT).as_posix()}) | {purpose(path)} |")
    return "\n".join(lines) + "\n"


def purpose(room: Path) -> str:
    """Return the first line of the docstring of a file or folder, without its full stop and the roles of Sphinx."""
    file = room / "__init__.py" if room.is_dir() else room
    line = str(ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))).partition("\n")[0]
    return re.sub(r":\w+:(?=`)", "", line).rstrip(".").replace("``", "`")


class Frame(NamedTuple):
    """A function on the way: its file in the toolkit, its name, and the first line of its docstring."""

    file: str
    name: str
    purpose: str


def stacks_at_relu() -> list[list[Frame]]:
    """Return the frames from `deep_lift_shap` to where relu is computed: in the sequences' pass, and in the other."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv1d(4, 8, 5), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(208, 1))
    found: list[list[Frame]] = []

    def notice(frame: FrameType, event: str, function: Any) -> None:
        if event == "c_call" and getattr(function, "__name__", "") == "relu":
            stack = _stack(frame)
            if any(one.file.startswith("attribution/rules/") for one in stack) and stack not in found:
                found.append(stack)

    sys.setprofile(notice)
    try:
        sl.deep_lift_shap(model, sl.random_one_hot((2, 4, 30), random_state=0), n_shuffles=3, device="cpu")
    finally:
        sys.setprofile(None)
    return found[:2]


def _stack(frame: FrameType | None) -> list[Frame]:
    """Return the frames of ours, outermost first; where the model is called there is one without a file."""
    stack: list[Frame] = []
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(SOURCES["seqlight"]):
            inside = path.relative_to(SOURCES["seqlight"]).as_posix()
            stack.append(Frame(inside, frame.f_code.co_qualname, _purpose_of(frame.f_code, frame.f_globals)))
        elif path.name == "module.py" and stack and stack[-1].file:
            stack.append(Frame("", MODEL, ""))
        frame = frame.f_back
    return stack[::-1]


def _purpose_of(code: CodeType, names: dict[str, Any]) -> str:
    """Return the first line of a function's docstring; of a magic method, which has none, that of its class."""
    path = code.co_qualname.partition(".<locals>")[0].split(".")
    found: Any = names[path[0]]
    for name in path[1:-1] if path[-1].startswith("__") and code.co_consts[0] is None else path[1:]:
        found = inspect.getattr_static(found, name)
    text = getattr(found, "__func__", found).__doc__
    return inspect.cleandoc(text or "").partition("\n")[0].rstrip(".").replace("``", "`")


def frames(stack: list[Frame]) -> str:
    """Return the frames of one pass as a table."""
    lines = ["| | function | file | what it does |", "|---|---|---|---|"]
    number = 0
    for one in stack:
        if not one.file:
            lines.append(f"| | *{one.name}* | | |")
            continue
        number += 1
        link = f"[{one.file.removeprefix('attribution/')}](../toolkit/seqlight/{one.file})"
        lines.append(f"| {number} | `{one.name}` | {link} | {one.purpose} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    callbacks = [["seqlight_callbacks"]]
    first, second = stacks_at_relu()
    write_files({PICTURE: picture("seqlight", callbacks)}, "architecture_figures.py")
    main(
        ROOT / "docs" / "architecture.md",
        "architecture_figures.py",
        {
            "rooms": rooms("seqlight", callbacks),
            "attribution": rooms("seqlight.attribution", []),
            "first pass": frames(first),
            "second pass": frames(second),
        },
    )
