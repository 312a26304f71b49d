import struct
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import seqlight as sl
from seqlight.formats.npz import map_array


def header_of(shape, dtype="<f4"):
    """Return the header of an npy file, whatever it says."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (118 - len(text)) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


@pytest.mark.reliability(
    "arrays in files",
    "an npy file, or an array in an npz file, with fewer numbers than its header says",
    "an error that says so",
)
@pytest.mark.parametrize("shape", [(4,), (2**40, 2**40), (2**32, 2**32), (10**30,), (-1,), (-2, -3)])
@pytest.mark.parametrize("kind", ["npy", "npz", "compressed"])
def test_arrays_that_are_less_than_they_say(tmp_path, shape, kind):
    content = header_of(shape) + bytes(12)
    path = tmp_path / "a.npz"
    if kind == "npy":
        path.write_bytes(content)
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED if kind == "npz" else zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("X.npy", content)
            archive.writestr("y.npy", header_of((100,)) + bytes(400))
    with pytest.raises(sl.InputError, match=r"a\.npz holds no array that can be mapped \(.+\): expected an npy or npz"):
        map_array(path, "X")


@given(cut=st.integers(0, 400), flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), max_size=3))
def test_whatever_is_in_a_file(tmp_path_factory, cut, flips):
    """A damaged file is an array or an InputError, never another error."""
    path = tmp_path_factory.mktemp("any") / "a.npz"
    save = np.savez if cut % 2 else np.savez_compressed
    save(path, X=np.arange(12.0).reshape(3, 4), y=np.arange(3))
    content = bytearray(path.read_bytes())
    if cut > 200:
        del content[cut:]
    for at, by in flips:
        content[at % len(content)] ^= by
    path.write_bytes(content)
    try:
        found = map_array(path, "X")
    except sl.InputError:
        return
    assert isinstance(found, np.ndarray)
    found.tobytes()


def test_files_without_arrays(tmp_path):
    for content in (b"", b"PK\x05\x06" + bytes(18), b"\x80\x04N."):
        (tmp_path / "a.npy").write_bytes(content)
        with pytest.raises(sl.InputError, match=r"a\.npy"):
            map_array(tmp_path / "a.npy", "X")
    for source, said in ((tmp_path, "is a folder"), (3, "X is an int"), (tmp_path / "b.npy", "there is no file")):
        with pytest.raises(sl.InputError, match=said):
            map_array(source, "X")


def test_a_header_that_does_not_end(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(3))
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content.replace(b"(3,)", b"(3, "))
    with pytest.raises(sl.InputError, match="holds no array that can be mapped"):
        map_array(tmp_path / "a.npy", "X")


@pytest.mark.reliability(
    "arrays in files", "a file of torch.save in place of npy or npz", "an error that says what it is"
)
def test_files_of_torch(tmp_path):
    torch.save(torch.ones(2), tmp_path / "X.npz")
    with pytest.raises(sl.InputError, match=r"X\.npz is a file of torch.save: give the tensor that torch.load reads"):
        map_array(tmp_path / "X.npz", "X")
