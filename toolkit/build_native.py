"""Compile the C loops of ``seqlight.native`` when the package is built or installed.

The library is plain C behind ctypes, so one build serves every Python version.
Without a compiler the package still installs: each loop has a NumPy twin with
the same results, only slower.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SUFFIX = {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")


class NativeLoops(BuildHookInterface):
    """Build ``native/_loops`` from all C files beside it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and mark the wheel as made for this platform if that worked."""
        folder = Path(self.root) / "toolkit" / "seqlight" / "native"
        if compile_loops(folder):
            platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{platform}"


def compile_loops(folder: Path) -> bool:
    """Compile every C file of `folder` into one shared library; False where that cannot be done."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    if shutil.which(compiler[0]) is None:
        print(f"seqlight: no C compiler ({compiler[0]}); the NumPy twins will be used", file=sys.stderr)
        return False
    target = folder / f"_loops{SUFFIX}"
    partial = target.with_suffix(".partial")
    # No -ffast-math: the loops promise the same bits as their NumPy twins.
    flags = ["-O3", "-std=c11", "-shared", "-fPIC", "-ffp-contract=off", "-o", str(partial)]
    sources = sorted(str(path) for path in folder.glob("*.c"))
    done = subprocess.run([*compiler, *flags, *sources, "-lm"], capture_output=True, text=True)
    if done.returncode:
        partial.unlink(missing_ok=True)
        print(f"seqlight: the C loops did not compile, the NumPy twins will be used\n{done.stderr}", file=sys.stderr)
        return False
    partial.replace(target)
    return True
