"""The compiled loops and their NumPy twins give the same bits."""

import os

import numpy as np
import pytest
import torch

from seqlight.native.library import library
from seqlight.sequence import native_loops

DTYPES = [
    torch.int8, torch.uint8, torch.bool, torch.int16, torch.int32, torch.int64,
    torch.float16, torch.bfloat16, torch.float32, torch.float64,
]  # fmt: skip
# rows, letters, span, positions, start, n
SHAPES = [
    (1, 4, 1, 1, 0, 1),
    (1, 4, 2, 5, 3, 3),
    (2, 1, 7, 7, 0, 2),
    (3, 4, 19, 30, 5, 4),
    (3, 4, 64, 64, 0, 5),
    (5, 20, 33, 40, 7, 9),
    (2, 2, 130, 130, 0, 8),
    (2, 254, 300, 301, 1, 2),
    (1, 4, 1500, 1513, 13, 3),
    # Large enough for several threads.
    (37, 4, 1000, 1001, 0, 7),
]

pytestmark = pytest.mark.skipif(library() is None, reason="no compiled loops here")


def both(work):
    """Return the result of `work` with the compiled loops and without."""
    compiled = work()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native_loops, "library", lambda: None)
        return compiled, work()


def bits(tensor):
    return tensor.contiguous().view(torch.uint8).numpy().tobytes()


def random_codes(rows, letters, span):
    """Return codes of all letters and of unknown characters."""
    return np.random.RandomState(rows * span).randint(0, letters + 1, size=(rows, span)).astype(np.uint8)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_write_and_read_one_hot(shape, dtype):
    rows, letters, span, positions, start, _ = shape
    codes = random_codes(rows, letters, span)

    def write():
        out = torch.zeros((rows, letters, positions), dtype=dtype)
        native_loops.write_one_hot(codes, out, start)
        return out

    compiled, by_numpy = both(write)
    assert bits(compiled) == bits(by_numpy)
    outside = [i for i in range(positions) if not start <= i < start + span]
    assert not compiled[:, :, outside].any()
    read = native_loops.read_codes(compiled[:, :, start : start + span])
    assert np.array_equal(read, codes)


@pytest.mark.parametrize("dtype", [*DTYPES, torch.complex64])
@pytest.mark.parametrize("shape", SHAPES)
def test_encode(shape, dtype):
    rows, letters, span, *_ = shape
    known = bytes(range(1, letters + 2))
    codes = random_codes(rows, letters, span)
    text = np.frombuffer(known, np.uint8)[codes]

    def write(text):
        out = torch.full((rows, letters, span), 7).to(dtype)
        return native_loops.encode(text.tobytes(), known, out), out

    (found, compiled), (numpy_found, by_numpy) = both(lambda: write(text))
    assert found == numpy_found == -1
    assert bits(compiled) == bits(by_numpy)
    for bad in {0, text.size // 2, text.size - 1}:
        wrong = text.copy()
        wrong.ravel()[[bad, -1]] = 0
        (found, _), (numpy_found, _) = both(lambda wrong=wrong: write(wrong))
        assert found == numpy_found == bad


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_dinucleotide_shuffles(shape, dtype):
    rows, letters, span, positions, start, n = shape
    codes = random_codes(rows, letters, span)
    seeds = np.arange(5, 5 + rows).astype(np.uint32)

    def write():
        out = torch.zeros((rows, n, letters, positions), dtype=dtype)
        return native_loops.write_dinucleotide_shuffles(codes, seeds, out, start), out

    (still, compiled), (numpy_still, by_numpy) = both(write)
    assert bits(compiled) == bits(by_numpy)
    assert still.tolist() == numpy_still.tolist()


@pytest.mark.parametrize("n", range(1, 13))
def test_any_number_of_shuffles(n):
    codes = random_codes(4, 4, 60)
    seeds = np.arange(4).astype(np.uint32)

    def write():
        out = torch.zeros((4, n, 4, 60), dtype=torch.int8)
        return native_loops.write_dinucleotide_shuffles(codes, seeds, out, 0), out

    (still, compiled), (numpy_still, by_numpy) = both(write)
    assert torch.equal(compiled, by_numpy)
    assert still.tolist() == numpy_still.tolist()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_reorder(shape, dtype):
    rows, letters, span, positions, start, n = shape
    X = torch.from_numpy(np.random.RandomState(0).randint(0, 2, (rows, letters, positions))).to(dtype)
    orders = np.stack([np.random.RandomState(i).permutation(span) for i in range(n)]).astype(np.uint32)

    def write():
        out = torch.zeros((rows, n, letters, positions), dtype=dtype)
        native_loops.write_reordered(X, orders, out, start)
        return out

    compiled, by_numpy = both(write)
    assert bits(compiled) == bits(by_numpy)


@pytest.mark.parametrize("moved", [0, 1, 623, 624, 625])
@pytest.mark.parametrize("letters", [1, 2, 4, 20])
def test_sample_codes_advances_the_stream_the_same_way(letters, moved):
    p = np.random.RandomState(1).dirichlet(np.ones(letters), size=3)
    p[1] = 0
    p[1, -1] = 1
    steps = np.cumsum(p, axis=1)
    steps /= steps[:, -1:]

    def draw():
        stream = np.random.RandomState(3)
        stream.randint(0, 2**32, size=moved, dtype=np.uint32)
        codes = native_loops.sample_codes(stream, steps, 5, 333)
        return codes, stream.random_sample(3)

    (codes, after), (numpy_codes, numpy_after) = both(draw)
    assert np.array_equal(codes, numpy_codes)
    assert after.tolist() == numpy_after.tolist()
    assert (codes[1] == letters - 1).all()


def test_a_stored_normal_number_stays_in_the_stream():
    def draw():
        stream = np.random.RandomState(3)
        stream.standard_normal()
        native_loops.sample_codes(stream, np.array([[0.5, 1.0]]), 1, 5)
        return stream.standard_normal(3).tolist()

    compiled, by_numpy = both(draw)
    assert compiled == by_numpy


def test_read_codes_returns_none_unless_exactly_one_hot():
    X = torch.zeros(2, 4, 6)
    X[:, 1] = 1
    assert native_loops.read_codes(X).tolist() == [[1] * 6] * 2
    for value in (-0.0, 0.5, 2.0, torch.nan):
        changed = X.clone()
        changed[1, 3, 5] = value
        assert native_loops.read_codes(changed) is None
    assert native_loops.read_codes(X.to(torch.complex64)) is None
    assert native_loops.read_codes(X.to("meta")) is None


def test_loops_refuse_memory_that_is_not_contiguous():
    with pytest.raises(AssertionError, match="contiguous"):
        native_loops.write_one_hot(random_codes(2, 4, 9), torch.zeros(2, 9, 4).transpose(1, 2), 0)


DIGEST = """
import hashlib, torch
import seqlight as sl
X = sl.random_one_hot((3, 4, 200), probs=[[.2, .3, .4, .1]], dtype=torch.{dtype}, random_state=1)
X[1, :, 50:60] = 0
found = [
    X,
    sl.randomize(X, 10, 190, [.1, .2, .3, .4], n=3, random_state=2),
    sl.shuffle(X, 5, 150, n=3, random_state=3),
    sl.dinucleotide_shuffle(X, 2, None, n=6, random_state=4, allow_N=True),
    sl.one_hot_encode(sl.characters(X, allow_N=True), dtype=X.dtype),
]
print(hashlib.sha256(b"".join(one.contiguous().view(torch.uint8).numpy().tobytes() for one in found)).hexdigest())
"""


def test_a_process_without_the_compiled_loops_gives_the_same(python):
    digests = set()
    for native in ("0", "1"):
        program = "".join(DIGEST.format(dtype=name) for name in ("int8", "bool", "float16", "bfloat16", "float64"))
        done = python("-c", program, env={**os.environ, "SEQLIGHT_NATIVE": native})
        digests.add(done.stdout)
    assert len(digests) == 1
    assert len(digests.pop().split()) == 5
