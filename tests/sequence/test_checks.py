"""What counts as one-hot, against a literal reading of each column; and other checks."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import TensorDataset

from seqlight.attribution.explanation import Explanation
from seqlight.datasets import ArrayDataset
from seqlight.errors import InputError
from seqlight.sequence import checks, native_loops

DTYPES = [torch.int8, torch.uint8, torch.bool, torch.int64, torch.float16, torch.bfloat16, torch.float32, torch.float64]


def is_one_hot(X, allow_unknown):
    for row in X.to(torch.float64).transpose(1, 2).reshape(-1, X.shape[1]).tolist():
        ones, others = row.count(1.0), sum(value not in (0.0, 1.0) for value in row)
        if others or ones > 1 or (ones == 0 and not allow_unknown):
            return False
    return True


@st.composite
def columns(draw):
    rows, letters, length = draw(st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 6)))
    dtype = draw(st.sampled_from(DTYPES))
    codes = torch.tensor(draw(st.lists(st.integers(0, letters), min_size=rows * length, max_size=rows * length)))
    X = torch.nn.functional.one_hot(codes.reshape(rows, length), letters + 1)[..., :letters].transpose(1, 2)
    X = X.to(dtype) if draw(st.booleans()) else X.contiguous().to(dtype)
    floats = [0.0, -0.0, 0.5, 1.0, 2.0, -1.0, float("nan"), float("inf")]
    for _ in range(draw(st.integers(0, 2))):
        place = tuple(draw(st.integers(0, size - 1)) for size in X.shape)
        X[place] = draw(st.sampled_from(floats if dtype.is_floating_point else [0, 1]))
    return X


@settings(max_examples=300, deadline=None)
@given(columns(), st.booleans(), st.booleans())
def test_one_hot_by_its_definition(X, allow_unknown, native):
    before = X.clone()
    with pytest.MonkeyPatch.context() as patch:
        if not native:
            patch.setattr(native_loops, "library", lambda: None)
        if is_one_hot(X, allow_unknown):
            assert checks.require_one_hot(X, allow_unknown=allow_unknown) is X
            columns = X.to(torch.float64).transpose(1, 2).tolist()
            expected = [[column.index(1) if 1 in column else len(column) for column in row] for row in columns]
            assert checks.to_codes(X).tolist() == expected
        else:
            with pytest.raises(InputError, match=r"sequence \d+, position \d+ of X holds (\[|NaN)"):
                checks.require_one_hot(X, allow_unknown=allow_unknown)
    assert torch.equal(X.nan_to_num(7), before.nan_to_num(7))


@pytest.mark.parametrize("length", [511, 512, 513, 1500])
def test_a_fault_is_found_wherever_it_is(length):
    X = torch.zeros(3, 4, length)
    X[:, 1] = 1
    for sequence, position in [(0, 0), (1, length // 2), (2, length - 1)]:
        bad = X.clone()
        bad[sequence, 2, position] = 1
        with pytest.raises(InputError, match=f"sequence {sequence}, position {position} of X holds"):
            checks.require_one_hot(bad)


def test_a_large_tensor_is_read_by_several_threads():
    codes = torch.randint(0, 5, (301, 601), generator=torch.Generator().manual_seed(0))
    X = torch.stack([codes == letter for letter in range(4)], dim=1).float()
    assert np.array_equal(checks.to_codes(checks.require_one_hot(X)), codes.numpy())
    X[300, 3, 600] = X[300, 2, 600] = 1
    with pytest.raises(InputError, match="sequence 300, position 600"):
        checks.require_one_hot(X)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.eye(4), r"X is a numpy\.ndarray: expected a torch\.Tensor; use torch\.from_numpy\(X\)\."),
        ("ACGT", r"X is a str: expected a torch\.Tensor; use one_hot_encode\(X\)\."),
        (None, r"X is None: expected a torch\.Tensor; convert it first\."),
        (3, r"X is an int: expected a torch\.Tensor; convert it first\."),
        (["ACGT", "TTTT"], r"X is a list of strings: expected a torch\.Tensor; use one_hot_encode\(X\)\."),
        (
            np.array(["ACGT"]),
            r"X is a numpy\.ndarray of <U4: .*; use one_hot_encode\(X\.tolist\(\)\) if it holds strings",
        ),
        (TensorDataset(torch.ones(2)), r"X is a TensorDataset: .*; stack some of its rows, or use seqlight\.run"),
        (ArrayDataset(torch.ones(2)), r"X is an ArrayDataset: .*; take some of its rows, X\[:100\], or use"),
        (pd.Series(["ACGT", "TTTT"]), r"X is a Series of strings: .*; use one_hot_encode\(X\)\."),
        (pd.Series([1, 2]), r"X is a Series: expected a torch\.Tensor; convert it first\."),
        (pd.DataFrame({"peak": ["ACGT"]}), r"X is a DataFrame: .*; encode its column .*, such as one_hot_encode\(X\["),
        (Path("peaks.fa"), r"X is a .*Path: .*; read the file first, such as seqlight\.FastaDataset\(path\)\[:\]\."),
        (__file__, r"X is a str: .*; read the file first, such as seqlight\.FastaDataset"),
        ([torch.eye(4)] * 2, r"X is a list of tensors: expected a torch\.Tensor; use torch\.stack\(X\)\."),
        ((torch.ones(1, 4, 9),) * 2, r"X is a tuple of tensors: .*; use torch\.cat\(X\)\."),
        (
            Explanation("attribute", *[torch.ones(1, 4, 9)] * 2, torch.ones(1)),
            r"an Explanation: .* X\.attributions\.",
        ),
        ([1, 2], r"X is a list: expected a torch\.Tensor; convert it first\."),
        (torch.arange(12).view(3, 4) % 4, r"X has shape \(3, 4\): .* integers for letters, so one-hot encode it first"),
        (torch.eye(4, dtype=torch.int8), r"X has shape \(4, 4\): .*; use X\.unsqueeze\(0\) for one sequence"),
        (torch.ones(4, 9), r"X has shape \(4, 9\): expected three dimensions .*; use X\.unsqueeze\(0\) for one"),
        (torch.ones(9), r"X has shape \(9,\): expected three dimensions .*; reshape it\."),
        (torch.ones(1, 1, 4, 9), r"X has shape \(1, 1, 4, 9\): expected three dimensions"),
        (torch.ones(0, 4, 9), r"X is empty, of shape \(0, 4, 9\): expected at least one sequence and position\."),
        (torch.ones(2, 4, 0), r"X is empty, of shape \(2, 4, 0\)"),
        (torch.ones(2, 300, 4), r"X has 300 letters, .*: expected at most 254; .*X\.transpose\(1, 2\)\."),
        (torch.zeros(1, 4, 9, device="meta"), r"X is on the meta device: expected a dense tensor that holds its data"),
        (torch.zeros(1, 4, 9).to_sparse(), r"X is of layout torch\.sparse_coo: expected a dense tensor"),
        (
            torch.full((1, 4, 9), 0.25),
            r"position 0 of X holds \[0\.25, 0\.25, 0\.25, 0\.25\]: .*; soft inputs are refused here, but sl\.DeepLift",
        ),
        (torch.full((1, 4, 9), torch.nan), r"holds NaN: expected a single 1 and zeros"),
        (
            torch.full((1, 20, 30), 0.05),
            r"holds \[0\.05, 0\.05, 0\.05, 0\.05, 0\.05, 0\.05, \.\.\.\]: .*sl\.DeepLiftShap take any",
        ),
        (torch.full((1, 1, 1), 1.0001), r"holds \[1\.0001.*\]: expected a single 1"),
        (torch.ones(1, 4, 9), r"holds \[1, 1, 1, 1\]: expected a single 1 .*; convert it first\."),
        (torch.ones(1, 9, 4), r"holds \[1.*: expected a single 1.*; if it is .*, pass X\.transpose\(1, 2\)\."),
    ],
)
def test_invalid_sequences(X, message):
    with pytest.raises(InputError, match=message) as caught:
        checks.require_one_hot(X)
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)


def test_unknown_characters_may_be_refused():
    X = torch.zeros(1, 4, 3)
    X[0, 2, :2] = 1
    with pytest.raises(InputError, match=r"position 2 of X holds \[0.*\], an unknown character: .*; replace it"):
        checks.require_one_hot(X, allow_unknown=False)


@pytest.mark.parametrize("value", [0, 3, np.int64(5)])
def test_a_count(value):
    found = checks.require_count(value, "n")
    assert found == value
    assert type(found) is int


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-1, r"n is -1: expected 0 or more\."),
        (1.0, r"n is 1\.0: expected a whole number\."),
        (True, r"n is True: expected a whole number\."),
        (None, r"n is None: expected a whole number\."),
        ("3", r"n is '3': expected a whole number\."),
    ],
)
def test_invalid_counts(value, message):
    with pytest.raises(InputError, match=message):
        checks.require_count(value, "n")


def test_regions():
    assert checks.require_region(2, 5, 5) == (2, 5)
    with pytest.raises(InputError, match=r"end is 6, off the end of sequences of 5 positions: expected at most 5\."):
        checks.require_region(2, 6, 5)
    with pytest.raises(InputError, match=r"the region from 3 to 3 is empty: expected start < end\."):
        checks.require_region(3, 3, 5)
    with pytest.raises(InputError, match=r"start is -1: expected 0 or more\."):
        checks.require_region(-1, 3, 5)


def test_what_becomes_an_array_is_read_at_once():
    class Lazy:
        def __array__(self, dtype=None, copy=None):
            return np.eye(3)

        def __iter__(self):
            raise AssertionError("read row by row")

    assert checks.as_tensor(Lazy(), "X").tolist() == np.eye(3).tolist()
    assert checks.as_tensor(np.float32(2), "X").dtype == torch.float32
