from __future__ import annotations

import subprocess
import sys

import pytest

import seqlight.lit


def test_every_public_name_is_there():
    for name in seqlight.lit.__all__:
        assert getattr(seqlight.lit, name).__name__ == name
        assert name in seqlight.lit.__doc__
    assert dir(seqlight.lit) == sorted(seqlight.lit.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = seqlight.lit.nothing


def test_importing_loads_nothing():
    code = "import sys, seqlight.lit; assert not {'torch', 'lightning'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
