from __future__ import annotations

import subprocess
import sys

import pytest

import seqlight_callbacks


def test_every_name_is_there_and_is_what_it_says():
    for name in seqlight_callbacks.__all__:
        assert getattr(seqlight_callbacks, name).__name__ == name
    assert dir(seqlight_callbacks) == sorted(seqlight_callbacks.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = seqlight_callbacks.nothing


def test_importing_loads_nothing():
    code = "import sys, seqlight_callbacks; assert not {'torch', 'lightning', 'matplotlib'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
