"""Checkpoints of all kinds, compared with the state dict that was saved."""

from __future__ import annotations

import argparse
import collections
import functools
import io
import os
import pathlib
import pickle
import sys
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import seqlight as sl
from seqlight.lit import DeepLiftShapModule, PredictModule
from seqlight.lit.checkpoints import read_weights


def linear():
    torch.manual_seed(1)
    return nn.Linear(3, 2)


WEIGHTS = linear().state_dict()


class Settings:
    def __init__(self):
        self.width = 3


class Box(dict):
    pass


class Compiled(nn.Module):
    """Gives weights the prefix that torch.compile does."""

    def __init__(self, model):
        super().__init__()
        self._orig_mod = model


def same(found, expected=WEIGHTS):
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], one) for name, one in expected.items())


HYPERPARAMETERS = {
    "a Namespace": lambda: argparse.Namespace(width=3),
    "a path": lambda: pathlib.Path("data") / "peaks.bed",
    "a partial": lambda: functools.partial(torch.optim.Adam, lr=0.1),
    "a NumPy scalar": lambda: np.float32(3),
    "a NumPy array": lambda: np.arange(3),
    "a whole module": lambda: nn.Sequential(nn.Linear(2, 2), nn.ReLU()),
    "a class": lambda: Settings,
    "an object": Settings,
    "a dict of a class of its own": lambda: Box(a=[Box(b=1)]),
    "sets, a deque and a defaultdict": lambda: [{1}, frozenset([2]), collections.deque([3]),
                                                collections.defaultdict(list, {1: [2]})],
    "functions": lambda: [len, torch.relu, nn.functional.gelu, np.random.RandomState(0)],
}  # fmt: skip


@pytest.mark.reliability(
    "checkpoints",
    "hyperparameters that are no numbers: a Namespace, a path, a partial, a module ...",
    "left out, and the weights are read",
)
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("kind", HYPERPARAMETERS)
def test_weights_are_read_whatever_is_stored_with_them(tmp_path, kind, legacy):
    stored = {
        "state_dict": WEIGHTS,
        "hyper_parameters": {"x": HYPERPARAMETERS[kind](), "lr": 0.1},
        "optimizer_states": [{"state": {0: {"step": torch.ones(())}}, "param_groups": [{"lr": 0.1}]}],
    }
    torch.save(stored, tmp_path / "a.ckpt", _use_new_zipfile_serialization=not legacy)
    same(read_weights(tmp_path / "a.ckpt"))
    same(read_weights(tmp_path / "a.ckpt", trusted=True))


@pytest.mark.reliability(
    "checkpoints", "weights of any dtype, parameters, views and empty tensors beside a Namespace", "read as they were"
)
def test_all_kinds_of_weights(tmp_path):
    kinds = (torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.bool, torch.uint16, torch.complex64)
    stored = {str(one): torch.arange(6).to(one) for one in kinds}
    stored |= {"view": torch.arange(12.0).reshape(3, 4).t()[1:], "scalar": torch.tensor(2.0), "none": torch.zeros(0, 3)}
    shared = torch.arange(4.0)
    torch.save(
        {"state_dict": {**stored, "p": nn.Parameter(shared), "again": shared}, "x": Settings()}, tmp_path / "a.ckpt"
    )
    found = read_weights(tmp_path / "a.ckpt")
    same(found, stored | {"p": shared, "again": shared})
    assert not any(one.requires_grad for one in found.values())


PLACES = {
    "Lightning": lambda one: {"state_dict": one, "epoch": 3, "loss": torch.tensor(0.1)},
    "plain PyTorch": lambda one: {"model_state_dict": one, "optimizer_state_dict": {"state": {}, "param_groups": []}},
    "DeepSpeed": lambda one: {"module": one, "dp_world_size": 2},
    "a trainer in a trainer": lambda one: {"model": {"state_dict": one}, "args": Settings()},
}


@pytest.mark.reliability(
    "checkpoints", "weights where Lightning, plain PyTorch or DeepSpeed keep them, and under any prefix", "found"
)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("prefix", ["", "model.", "module.", "_orig_mod.", "module._orig_mod.model."])
def test_weights_are_found_under_every_key_and_prefix(tmp_path, place, prefix):
    torch.save(PLACES[place]({f"{prefix}{name}": one for name, one in WEIGHTS.items()}), tmp_path / "a.ckpt")
    module = PredictModule(nn.Linear(3, 2), checkpoint=tmp_path / "a.ckpt")
    same(module.model.state_dict())


@pytest.mark.reliability(
    "checkpoints", "a model that torch.compile is around, and weights of one that is not", "loaded"
)
def test_a_compiled_model(tmp_path):
    torch.save(WEIGHTS, tmp_path / "a.pt")
    inner = nn.Sequential(Compiled(nn.Linear(3, 2)))
    assert list(inner.state_dict()) == ["0._orig_mod.weight", "0._orig_mod.bias"]
    PredictModule(inner[0], checkpoint=tmp_path / "a.pt")
    same(inner[0]._orig_mod.state_dict())
    torch.save({f"0.{name}": one + 1 for name, one in WEIGHTS.items()}, tmp_path / "b.pt")
    PredictModule(inner, checkpoint=tmp_path / "b.pt")
    same(inner[0]._orig_mod.state_dict(), {name: one + 1 for name, one in WEIGHTS.items()})


class Runs:
    """Creates a file when it is unpickled."""

    def __init__(self, path, call=os.system, *more):
        self.call, self.arguments = call, (f"touch {path}", *more)

    def __reduce__(self):
        return self.call, self.arguments


def by_opcode(function, argument):
    """Return a handwritten pickle that calls a function."""
    return b"\x80\x02c" + function.replace(".", "\n", 1).encode() + b"\n(X" + (
        len(argument).to_bytes(4, "little") + argument.encode()
    ) + b"tR."  # fmt: skip


ATTACKS = {
    "beside the weights": lambda marker: {"state_dict": WEIGHTS, "hyper_parameters": Runs(marker)},
    "in the weights": lambda marker: {"state_dict": {**WEIGHTS, "weight": Runs(marker)}},
    "for the weights": lambda marker: {"state_dict": Runs(marker)},
    "for all": Runs,
    "in a key": lambda marker: {"state_dict": WEIGHTS, (Runs(marker),): 1},
    "by eval": lambda marker: {"state_dict": WEIGHTS, "x": Runs(f"#{marker}\n0 or open({str(marker)!r}, 'w')", eval)},
    "by a partial": lambda marker: {"state_dict": WEIGHTS, "x": functools.partial(os.system, f"touch {marker}")},
    "by a rebuilding of torch": lambda marker: {
        "state_dict": WEIGHTS,
        "x": Runs(marker, torch._tensor._rebuild_from_type_v2, os.system, (f"touch {marker}",), {}),
    },
}  # fmt: skip


@pytest.mark.reliability(
    "checkpoints",
    "a file that runs a command when it is unpickled, in eight places and two formats",
    "nothing is run; the weights are read, or an error",
)
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("attack", ATTACKS)
def test_no_code_of_a_file_is_run(tmp_path, attack, legacy):
    marker = tmp_path / "marker"
    torch.save(ATTACKS[attack](marker), tmp_path / "a.ckpt", _use_new_zipfile_serialization=not legacy)
    try:
        same(read_weights(tmp_path / "a.ckpt"))
    except sl.InputError as error:
        assert "trusted=True" in str(error)  # noqa: PT017
    assert not marker.exists()


@pytest.mark.reliability("checkpoints", "the same, with trusted=True", "run, as Python does")
def test_code_of_a_trusted_file_is_run(tmp_path):
    torch.save(ATTACKS["beside the weights"](tmp_path / "marker"), tmp_path / "a.ckpt")
    same(read_weights(tmp_path / "a.ckpt", trusted=True))
    assert (tmp_path / "marker").exists()


@pytest.mark.reliability(
    "checkpoints",
    "pickles written by hand that call, set attributes of what they may use, or come as an archive",
    "nothing is run or changed",
)
def test_pickles_written_by_hand(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = "touch marker"
    call = by_opcode("os.system", command)
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps({"little_endian": True}, 2)
    # In the old format a storage may name the source of a module, which torch compares, and may write a patch for.
    source = b"\x80\x02(X\x06\x00\x00\x00moduleccollections\nOrderedDict\nX\x01\x00\x00\x00aX\x01\x00\x00\x00btQ."
    # The state (None, {"dump_patches": 1}) of a function or class, which pickle sets as attributes.
    state = b"(N}X\x0c\x00\x00\x00dump_patchesK\x01stb."
    names = (b"torch._utils\n_rebuild_tensor_v2", b"collections\nOrderedDict", b"os\nsystem", b"torch\nSize",
             b"torch.storage\nUntypedStorage")  # fmt: skip
    changes = [b"\x80\x02c" + name + b"\n" + state for name in names]
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for name in ("storages", "tensors", "pickle"):
            archive.addfile(one := tarfile.TarInfo(f"\x80\x02{name}" if name == "pickle" else name))
            assert one.size == 0
    parts = [call, magic + call, magic[:-1] + call, magic + source, tar.getvalue(), *(magic + one for one in changes)]
    for n, content in enumerate([*parts, call + magic]):
        path = tmp_path / f"{n}.pt"
        path.write_bytes(content)
        with pytest.raises(sl.InputError):
            read_weights(path)
    for n, data in enumerate([call, source, *changes]):
        path = tmp_path / f"z{n}.pt"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/data.pkl", data)
            archive.writestr("a/version", "3")
            archive.writestr("a/byteorder", "little")
        with pytest.raises(sl.InputError):
            read_weights(path)
    assert sorted({one.suffix for one in tmp_path.iterdir()}) == [".pt"]
    assert not hasattr(torch.UntypedStorage, "dump_patches")
    assert not hasattr(torch._utils._rebuild_tensor_v2, "dump_patches")


def test_a_whole_model(tmp_path):
    for stored, message in (
        (linear(), r"holds a whole object, torch\.nn\.modules\.linear\.Linear"),
        ({"model": linear(), "epoch": 3}, r"holds a whole object, torch\.nn\.modules\.linear\.Linear"),
    ):
        torch.save(stored, tmp_path / "a.pt")
        with pytest.raises(sl.InputError, match=f"{message}, which only its own code can make: pass trusted=True"):
            read_weights(tmp_path / "a.pt")
        same(read_weights(tmp_path / "a.pt", trusted=True))
        for kind in (PredictModule, DeepLiftShapModule):
            sizes = {"in_features": 3, "out_features": 2}
            module = kind("torch.nn.Linear", checkpoint=tmp_path / "a.pt", arguments=sizes, trusted=True)
            same(module.model.state_dict())


def test_a_trusted_file_that_needs_missing_code(tmp_path, monkeypatch):
    monkeypatch.setattr(Settings, "__module__", "not_here")
    monkeypatch.setitem(sys.modules, "not_here", sys.modules[__name__])
    torch.save({"state_dict": WEIGHTS, "x": Settings()}, tmp_path / "a.pt")
    monkeypatch.delitem(sys.modules, "not_here")
    with pytest.raises(sl.InputError, match=r"needs code that is not here .*not_here.* or leave out trusted=True"):
        read_weights(tmp_path / "a.pt", trusted=True)
    same(read_weights(tmp_path / "a.pt"))


def saved(stored, **settings):
    file = io.BytesIO()
    torch.save(stored, file, **settings)
    return file.getvalue()


def flipped(content):
    at = content.index(WEIGHTS["weight"].numpy().tobytes())
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def scripted():
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(linear(), torch.zeros(1, 3)), file)
    return file.getvalue()


def arrays():
    file = io.BytesIO()
    np.savez(file, a=np.zeros(3))
    return file.getvalue()


def keras():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", b"\x89HDF")
    return file.getvalue()


OLD = {"_use_new_zipfile_serialization": False}
SAFETENSORS = b'{"weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
FILES = {
    "an empty file": (b"", "is empty"),
    "a pointer of Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n", "git lfs pull"),
    "safetensors": (len(SAFETENSORS).to_bytes(8, "little") + SAFETENSORS + bytes(4), "is of another model"),
    "safetensors cut short": (len(SAFETENSORS).to_bytes(8, "little") + SAFETENSORS + bytes(2), "is damaged"),
    "a text file": (b"weights: none\n", "is no checkpoint"),
    "a model of ONNX": (b"\x08\x09\x12\x07pytorch\x1a\x03", "is a model of ONNX, a program and not weights: save"),
    "a model of Keras": (keras, "is a model of Keras: load the weights into a PyTorch model"),
    "a page of HTML": (b"\n<!DOCTYPE html><html>404</html>", "a page of HTML"),
    "an HDF5 file": (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
    "a gzip file": (b"\x1f\x8b\x08" + bytes(100), "unpack it first"),
    "a zip of arrays": (arrays, "zip that torch.save has not written"),
    "a TorchScript archive": (scripted, "torch.jit.load"),
    "a checkpoint cut short": (lambda: saved(WEIGHTS)[:-300], "is damaged or no checkpoint"),
    "a checkpoint cut to its beginning": (lambda: saved(WEIGHTS)[:30], "is damaged or no checkpoint"),
    "an old checkpoint cut short": (lambda: saved(WEIGHTS, **OLD)[:-10], "is damaged"),
    "an old checkpoint cut to its beginning": (lambda: saved(WEIGHTS, **OLD)[:3], "is damaged"),
    "a checkpoint with a flipped bit": (lambda: flipped(saved(WEIGHTS)), "the checksum of .* does not match"),
    "zeros": (bytes(4096), "is no checkpoint"),
    "a pickle": (lambda: pickle.dumps({"a": 1}), "is damaged"),
    "no weights": (lambda: saved({"epoch": 3, "lr": 0.1}), "holds 'epoch', 'lr' and no weights"),
    "a number": (lambda: saved(3), "holds an int"),
    "a tensor": (lambda: saved(torch.ones(2)), "holds a Tensor"),
}  # fmt: skip


@pytest.mark.reliability(
    "checkpoints",
    "an empty file, a Git LFS pointer, safetensors, HTML, a file cut short and others",
    "one sentence that says what it is and what to do",
)
@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize("kind", FILES)
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
def test_files_that_are_not_checkpoints(tmp_path, kind, trusted):
    content, message = FILES[kind]
    (tmp_path / "a.ckpt").write_bytes(content() if callable(content) else content)
    with pytest.raises(sl.InputError, match=rf"a\.ckpt .*{message}") as raised:
        PredictModule(nn.Linear(3, 2), checkpoint=tmp_path / "a.ckpt", trusted=trusted)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.reliability(
    "checkpoints",
    "a folder, of DeepSpeed, of FSDP or another; no file at all; no path",
    "one sentence that says what to do",
)
def test_folders_and_missing_files(tmp_path):
    for name, inside, message in (
        ("deepspeed", "zero_to_fp32.py", "make one file of it with its zero_to_fp32.py"),
        ("fsdp", ".metadata", "dcp_to_torch"),
        ("other", "notes", "is a folder: expected one file"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / inside).touch()
        with pytest.raises(sl.InputError, match=message):
            read_weights(tmp_path / name)
    for path, message in (
        (tmp_path / "none.ckpt", "there is no checkpoint"),
        (3, "checkpoint is an int"),
        ("", "checkpoint"),
    ):
        with pytest.raises(sl.InputError, match=message):
            PredictModule(linear(), checkpoint=path)


def test_a_file_without_checksums_is_read(tmp_path):
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(WEIGHTS, tmp_path / "a.pt")
    finally:
        torch.serialization.set_crc32_options(before)
    same(read_weights(tmp_path / "a.pt"))


SMALL = saved(
    {"state_dict": {"w": torch.arange(3.0)}, "x": argparse.Namespace(a=1)}, _use_new_zipfile_serialization=False
)


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), min_size=1, max_size=3), st.booleans())
def test_any_bytes_are_read_or_refused(tmp_path_factory, changes, cut):
    content = bytearray(SMALL)
    for at, value in changes:
        content[at] = value
    path = tmp_path_factory.getbasetemp() / "any.ckpt"
    path.write_bytes(content[: changes[0][0]] if cut else content)
    try:
        found = read_weights(path)
    except sl.InputError:
        return
    assert all(isinstance(one, torch.Tensor) for one in found.values())
