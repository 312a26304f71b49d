import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader

import seqlight as sl
from seqlight.datasets import ArrayDataset
from seqlight.formats.npz import map_array


@pytest.fixture
def arrays():
    return sl.random_one_hot((7, 4, 12), random_state=0), torch.arange(7.0)


def sources(arrays, folder):
    X, y = (one.numpy() for one in arrays)
    np.save(folder / "X.npy", X), np.save(folder / "y.npy", y)
    np.save(folder / "F.npy", np.asfortranarray(X))
    np.savez(folder / "both.npz", y=y, X=X, z=np.zeros(3))
    np.savez_compressed(folder / "small.npz", X=X, y=y)
    np.savez(folder / "one.npz", sequences=X)
    return {
        "tensors": arrays,
        "arrays": (X, y),
        "npy": (folder / "X.npy", str(folder / "y.npy")),
        "fortran": (folder / "F.npy", y),
        "npz": (folder / "both.npz", folder / "both.npz"),
        "compressed": (folder / "small.npz", folder / "small.npz"),
        "one array": (folder / "one.npz", y),
        "big endian": (X, y.astype(">f4")),
        "a view": (np.repeat(X, 2, axis=0)[::2], y),
    }


@pytest.mark.parametrize(
    "kind", ["tensors", "arrays", "npy", "fortran", "npz", "compressed", "one array", "big endian", "a view"]
)
def test_rows_are_the_rows(arrays, tmp_path, kind):
    X, y = arrays
    dataset = ArrayDataset(*sources(arrays, tmp_path)[kind])
    assert len(dataset) == 7
    rows = [5, 0, -1, 5]
    assert torch.equal(dataset.batch(rows)[0], X[rows])
    assert torch.equal(dataset.batch(rows)[1], y[rows])
    assert dataset[3][0].dtype == torch.int8
    again = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(again.batch(rows)[0], X[rows])
    batches = list(DataLoader(dataset, batch_size=3, num_workers=1, generator=torch.Generator()))
    assert torch.equal(torch.cat([one for one, _ in batches]), X)
    assert torch.equal(torch.cat([one for _, one in batches]), y)


def test_items_are_copies(arrays):
    X, _ = arrays
    before = X.clone()
    dataset = ArrayDataset(X.numpy())
    dataset[0].fill_(7)
    dataset.batch([1, 2]).fill_(7)
    assert torch.equal(X, before)


def test_files_are_not_read_into_memory(tmp_path):
    np.savez(tmp_path / "a.npz", X=np.ones((500, 4, 1000), np.int8))
    dataset = ArrayDataset(tmp_path / "a.npz")
    assert len(pickle.dumps(dataset)) < 2000
    assert isinstance(dataset._arrays[0]._open(), np.memmap)


def test_digests(arrays, tmp_path):
    made = sources(arrays, tmp_path)
    same = {ArrayDataset(*made[kind]).fingerprint() for kind in ("tensors", "arrays", "npy", "npz", "compressed")}
    assert len(same) == 1
    X, y = arrays
    other = X.clone()
    other[3, :, 4] = 0
    loci = pd.DataFrame({"chrom": ["chr1"] * 7, "start": range(7), "end": range(12, 19)})
    others = [ArrayDataset(X), ArrayDataset(other, y), ArrayDataset(X, y + 1), ArrayDataset(X, y, loci)]
    assert len({*same, *(one.fingerprint() for one in others)}) == 5
    assert ArrayDataset(X.bfloat16()).fingerprint() != ArrayDataset(X.half()).fingerprint()
    assert ArrayDataset(X, y, loci).loci.start.tolist() == list(range(7))


def test_bad_calls(arrays, tmp_path):
    X, y = arrays
    made = sources(arrays, tmp_path)
    with pytest.raises(sl.InputError, match="X has 7 rows and y 6"):
        ArrayDataset(X, y[:6])
    with pytest.raises(sl.InputError, match="X is a list"):
        ArrayDataset([1, 2])
    with pytest.raises(sl.InputError, match="y is an array of <U1"):
        ArrayDataset(X, np.array(list("abcdefg")))
    with pytest.raises(sl.InputError, match="there is no file"):
        ArrayDataset(tmp_path / "none.npy")
    with pytest.raises(sl.InputError, match=r"both.npz has the arrays y, X, z: expected 'q'"):
        map_array(made["npz"][0], "q")
    (tmp_path / "text.npy").write_text("1 2 3")
    with pytest.raises(sl.InputError, match="holds no array that can be mapped"):
        ArrayDataset(tmp_path / "text.npy")
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "objects.npz", X=np.array([{}, None], dtype=object))
        with pytest.raises(sl.InputError, match="holds no array that can be mapped"):
            ArrayDataset(tmp_path / "objects.npz")
    with pytest.raises(sl.InputError, match="there are 1 loci for 7"):
        ArrayDataset(X, y, pd.DataFrame({"chrom": ["chr1"], "start": [0], "end": [12]}))


@pytest.mark.reliability(
    "arrays in files",
    "y from an npz file that holds only X; masked entries; long doubles of NumPy",
    "an error that says so",
)
def test_arrays_that_are_another(tmp_path, arrays):
    X = arrays[0].numpy()
    np.savez(tmp_path / "X.npz", X=X), np.savez(tmp_path / "y.npz", y=X), np.savez(tmp_path / "none.npz")
    for sources_, said in (
        ((tmp_path / "X.npz", tmp_path / "X.npz"), "has the arrays X: expected 'y' among them"),
        ((tmp_path / "y.npz",), "has the arrays y: expected 'X' among them"),
        ((tmp_path / "none.npz",), "has no arrays: expected 'X'"),
        ((np.ma.masked_equal(X, 1),), r"X is a masked array .* `\.filled\(0\)`"),
        ((X.astype(np.longdouble),), "X is an array of float128: expected numbers, in a type that PyTorch has"),
    ):
        with pytest.raises(sl.InputError, match=said):
            ArrayDataset(*sources_)
    assert len(ArrayDataset(tmp_path / "X.npz", np.ma.masked_equal(X, 7))) == 7
