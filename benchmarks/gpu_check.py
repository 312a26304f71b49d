"""Check in ten minutes whether seqlight is right on a GPU, how fast it is, and where the time goes.

    python benchmarks/gpu_check.py                          # on the machine with the GPU
    python benchmarks/gpu_check.py --write                  # also write benchmarks/results/gpu_check_<device>.json
    python benchmarks/gpu_check.py --device cpu --small     # a rehearsal on the CPU

It works alone, section by section, most wanted first. A section that fails says so and the next one begins; what is
known so far is in ``gpu_check_out/gpu_check.json`` after each. None begins when less time is left than it is meant to
take. Captum and tangermeme are measured too if they are installed. ``docs/gpu.md`` says how to send the result.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import re
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import torch
from gpu_sections.bench import Bench
from harness import RESULTS


class Section(NamedTuple):
    """A part of the check: where its function is, how many seconds it is meant to take, and whether it is quick."""

    place: str
    seconds: float
    quick: bool = True


SECTIONS = {
    "environment": Section("environment", 10),
    "marked_tests": Section("correctness", 60),
    "correctness": Section("correctness", 40),
    "places": Section("places", 20),
    "precision_settings": Section("correctness", 20, quick=False),
    "waits": Section("launches", 15),
    "kernels": Section("kernels", 60, quick=False),
    "determinism": Section("correctness", 25),
    "memory": Section("memory", 20),
    "speed": Section("speed", 180, quick=False),
    "launches": Section("launches", 40, quick=False),
    "predicting": Section("speed", 25, quick=False),
    "training": Section("trainings", 60, quick=False),
    "running": Section("trainings", 40, quick=False),
    "several_devices": Section("processes", 60, quick=False),
    "side_by_side": Section("processes", 45, quick=False),
}

# What a section does in processes of its own: the files and the functions.
PARTS = {
    "work": ("processes", "work"),
    "run_on_all": ("processes", "run_on_all"),
    "first_call": ("kernels", "first_call"),
}


def main() -> None:
    """Check every section that was asked for, and write what was found after each."""
    arguments = parse_arguments()
    if arguments.plugin:
        pkgutil.resolve_name(arguments.plugin)()
    bench = Bench(
        find_device(arguments.device, arguments.plugin),
        Path(arguments.out),
        arguments.small,
        arguments.budget,
        arguments.plugin,
    )
    bench.out.mkdir(parents=True, exist_ok=True)
    if arguments.small:
        torch.set_num_threads(1)  # small models gain nothing from more
    if arguments.part:
        find_function(*PARTS[arguments.part])(bench)
        return
    names = arguments.only or [name for name, section in SECTIONS.items() if section.quick or not arguments.quick]
    found: dict[str, Any] = {"sections": {}, "seconds": {}, "problems": bench.problems}
    for name in names:
        check(bench, name, found)
        bench.empty_cache()
        write(found, bench.out / "gpu_check.json")
    if arguments.write:
        write(found, RESULTS / f"gpu_check_{device_name(bench)}.json")
    print(f"\n{len(bench.problems)} problems", *bench.problems, sep="\n- ", flush=True)


def parse_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", help="such as cuda:0 or cpu; by default the accelerator of this machine")
    parser.add_argument("--out", default="gpu_check_out", help="a folder for the results")
    parser.add_argument("--budget", type=float, default=540, help="seconds in all")
    parser.add_argument("--small", action="store_true", help="small networks and data, to rehearse on a CPU")
    parser.add_argument("--quick", action="store_true", help="only the sections that take seconds when small")
    parser.add_argument("--only", nargs="*", choices=SECTIONS, metavar="SECTION", help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--plugin", help="module:function to call first, such as one that registers a device")
    parser.add_argument("--write", action="store_true", help="also write benchmarks/results/gpu_check_<device>.json")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)  # a process of a section
    return parser.parse_args()


def find_device(name: str | None, plugin: str | None = None) -> torch.device:
    """Return the device of this name, or the accelerator of a plugin or this machine; without it, end with status 2."""
    version = f"this PyTorch ({torch.__version__})"
    if name is None:
        found = torch.accelerator.current_accelerator(check_available=plugin is None)
        if found is None:
            refuse(f"No accelerator was found by {version}: install a build for your GPU")
        name = found.type
    try:
        device = torch.device(name)
        torch.ones(1, device=device).cpu()
    except Exception as error:
        why = (str(error).splitlines() or [type(error).__name__])[0][:300]
        refuse(f"No tensor can be made on the device {name!r} by {version}, which says {why!r}: name another one")
    return device


def refuse(reason: str) -> NoReturn:
    """End with status 2 and one line: the reason, and what to do without a GPU."""
    print(f"{reason}, or rehearse on the CPU with --device cpu --small --quick.", file=sys.stderr)
    sys.exit(2)


def check(bench: Bench, name: str, found: dict[str, Any]) -> None:
    """Check one section, unless too little time is left, and add what it found."""
    section = SECTIONS[name]
    if bench.remaining() < min(section.seconds, 25) + 5:
        found["sections"][name] = "no time left"
        print(f"{name}: no time left", flush=True)
        return
    print(f"{name} ...", flush=True)
    start = time.perf_counter()
    try:
        # Imported here, so that a package that is missing fails one section alone.
        found["sections"][name] = result = find_function(section.place, name)(bench)
        if isinstance(result, str):
            bench.say(f"skipped: {result}")
    except Exception as error:
        found["sections"][name] = {"failed": traceback.format_exc()[-3000:]}
        bench.expect(False, f"{name} failed: {type(error).__name__}: {str(error)[:200]}")
    found["seconds"][name] = time.perf_counter() - start


def find_function(place: str, name: str) -> Callable[[Bench], Any]:
    """Return a function of a file of sections."""
    return getattr(importlib.import_module(f"gpu_sections.{place}"), name)  # type: ignore[no-any-return]


def write(found: dict[str, Any], path: Path) -> None:
    """Write what was found as JSON."""
    path.write_text(json.dumps(found, indent=1, default=str) + "\n", encoding="utf-8")


def device_name(bench: Bench) -> str:
    """Return the name of the device, in lower case and without blanks, such as nvidia_h200."""
    name = torch.cuda.get_device_name(bench.device) if bench.cuda else bench.device.type
    return re.sub(r"\W+", "_", name.lower())


if __name__ == "__main__":
    main()
