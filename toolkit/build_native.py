"""Compile the C loops of ``seqlight.native`` when the package is built or installed.

The libraries are plain C behind ctypes, so one build serves every Python version.
Without a compiler the package still installs: each loop has a NumPy twin with
the same results, only slower.

In a checkout, ``python toolkit/build_native.py`` compiles them again without installing anything.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # there while a package is built alone
    BuildHookInterface = object

# The same sources for registers of several widths; the widest that a machine has is loaded (native/library.py).
BUILDS = {"_loops": (), "_loops_avx2": ("-mavx2", "-mfma"), "_loops_avx512": ("-mavx512f", "-mfma")}
SUFFIX = {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")


class NativeLoops(BuildHookInterface):
    """Build ``native/_loops*`` from all C files beside them."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and mark the wheel as made for this platform if that worked."""
        folder = Path(self.root) / "toolkit" / "seqlight" / "native"
        if compile_loops(folder):
            here = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{here}"


def compile_loops(folder: Path) -> bool:
    """Compile every C file of `folder` into shared libraries; False where that cannot be done."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    if shutil.which(compiler[0]) is None:
        print(f"seqlight: no C compiler ({compiler[0]}); the NumPy twins will be used", file=sys.stderr)
        return False
    wider = platform.machine().lower() in {"x86_64", "amd64"}
    # An older compiler may not know the wider registers, and the plain build serves everywhere.
    with ThreadPoolExecutor() as pool:
        made = list(pool.map(lambda name: _compile(compiler, folder, name), BUILDS if wider else ["_loops"]))
    return made[0]


def _compile(compiler: list[str], folder: Path, name: str) -> bool:
    target = folder / f"{name}{SUFFIX}"
    partial = target.with_suffix(".partial")
    # No -ffast-math: the loops promise the bits of their NumPy twins. But floating-point traps are not used, so both
    # sides of a choice may be computed, which is what lets the compiler vectorize loops with choices.
    same_bits = ["-ffp-contract=off", "-fno-trapping-math", "-fno-math-errno"]
    flags = ["-O3", "-std=c11", "-shared", "-fPIC", *same_bits, *BUILDS[name], "-o", str(partial)]
    sources = sorted(str(path) for path in folder.glob("*.c"))
    done = subprocess.run([*compiler, *flags, *sources, "-lm"], capture_output=True, text=True)
    if done.returncode:
        partial.unlink(missing_ok=True)
        target.unlink(missing_ok=True)  # of older sources
        print(f"seqlight: {name} did not compile and will not be used\n{done.stderr}", file=sys.stderr)
        return False
    partial.replace(target)
    return True


if __name__ == "__main__":
    sys.exit(not compile_loops(Path(__file__).parent / "seqlight" / "native"))
