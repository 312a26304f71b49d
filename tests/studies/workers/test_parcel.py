"""Models travel to another process, wherever their class is defined."""

import subprocess
import sys
import threading
import types

import pytest
import torch

from seqlight.errors import InputError
from seqlight.studies.workers.parcel import to_bytes


class Local(torch.nn.Module):
    def forward(self, x):
        return x + 1


def receive(sent, tmp_path):
    """Return what a process that cannot import this file gets from the model."""
    (tmp_path / "sent").write_bytes(sent)
    code = f"import pickle, torch; print(pickle.load(open({str(tmp_path / 'sent')!r}, 'rb'))(torch.ones(1)).item())"
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_classes_that_cannot_be_imported_are_sent_with_their_code(tmp_path, monkeypatch):
    module = types.ModuleType("made_at_run_time")
    monkeypatch.setitem(sys.modules, "made_at_run_time", module)
    exec("import torch\nclass Twice(torch.nn.Module):\n    def forward(self, x):\n        return 2 * x\n", vars(module))
    module.__file__ = str(tmp_path / "gone.py")
    assert receive(to_bytes(torch.nn.Sequential(Local(), module.Twice()), "it"), tmp_path) == "4.0"


def test_libraries_are_sent_by_name():
    assert len(to_bytes(torch.nn.ReLU(), "it")) < 1000


def test_what_cannot_be_sent_is_named():
    model = Local()
    model.lock = threading.Lock()
    with pytest.raises(InputError, match=r"^the model 'a' cannot be sent to another process \(TypeError: .*lock"):
        to_bytes(model, "the model 'a'")
