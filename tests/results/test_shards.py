from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import seqlight as sl
from seqlight.results.shards import ShardOrigin, check_shard, open_shard, read_shard, shard_path, shards_in, write_shard

DTYPES = st.sampled_from([np.float16, np.float32, np.float64, np.int8, np.int64, np.bool_, np.dtype("<U5")])


@given(
    st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9_.]{0,8}", fullmatch=True),
        hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, min_side=0)),
        max_size=3,
    )
)
def test_what_was_written_is_read(tmp_path_factory, arrays):
    path = tmp_path_factory.mktemp("shard") / "a.npz"
    write_shard(path, arrays)
    found = read_shard(path)
    assert list(found) == list(arrays)
    check_shard(path)
    with np.load(path) as other:
        for name, one in arrays.items():
            assert found[name].dtype == one.dtype
            np.testing.assert_array_equal(found[name], one)
            np.testing.assert_array_equal(other[name], one)


def test_names_of_shards(tmp_path):
    assert shard_path(tmp_path, 7).name == "shard-000007.npz"
    assert shards_in(tmp_path) == set()
    for name in ("shard-000007.npz", "shard-12.npz", "shard-000008.npz.17.partial", "loci.npz"):
        (tmp_path / name).touch()
    (tmp_path / "shard-000003.npz").symlink_to("nothing")
    assert shards_in(tmp_path) == {7}


def test_rows_are_mapped_and_read_only(tmp_path):
    write_shard(
        tmp_path / "a.npz", {"x": np.arange(6.0).reshape(3, 2), "y": np.asfortranarray(np.arange(6).reshape(3, 2))}
    )
    found = read_shard(tmp_path / "a.npz")
    assert isinstance(found["x"], np.memmap)
    assert found["y"].tolist() == [[0, 1], [2, 3], [4, 5]]
    with pytest.raises(ValueError, match="read-only"):
        found["x"][0] = 0


@pytest.mark.reliability("results folders", "shards read by several threads at once", "read as by one")
def test_threads_read_at_once(tmp_path):
    paths = [tmp_path / f"{n}.npz" for n in range(4)]
    for n, path in enumerate(paths):
        write_shard(path, {f"x{k}": np.full((2, k), n, np.int16) for k in range(5)} | {"y": np.float64(3)})
    with ThreadPoolExecutor(4) as pool:
        for n, found in enumerate(pool.map(read_shard, paths * 50)):
            assert found["x3"].tolist() == [[n % 4] * 3] * 2
            assert found["y"] == 3


def test_a_header_that_is_no_python(tmp_path):
    path = tmp_path / "a.npz"
    write_shard(path, {"x": np.zeros((4, 3), np.float32)})
    whole = path.read_bytes()
    for old, new in ((b"(4, 3)", b"(4, 3("), (b"'descr'", b"'descr("), (b"(4, 3)", b"[4, 3]"), (b"False", b"Talse")):
        path.write_bytes(whole.replace(old, new))
        with pytest.raises(sl.ResultsError, match="is damaged"):
            read_shard(path)


def test_a_dtype_with_fields(tmp_path):
    kind = np.dtype([("a", "<f4"), ("b", "<i8", (2,))])
    write_shard(tmp_path / "a.npz", {"x": np.zeros(3, kind)})
    assert read_shard(tmp_path / "a.npz")["x"].dtype == kind


@pytest.mark.reliability(
    "results folders",
    "any one bit of a shard flipped, or the file cut at any byte",
    "an error, or the arrays that were written",
)
def test_any_bit_and_any_length(tmp_path):
    path, arrays, origin = (
        tmp_path / "a.npz",
        {"x": np.arange(3, dtype=np.float32), "y": np.arange(3)},
        ShardOrigin("ab", 3, 6),
    )
    write_shard(path, arrays, origin)
    whole = path.read_bytes()
    refused = 0
    for at in range(2 * len(whole)):
        content = bytearray(whole[: at if at < len(whole) else None])
        if at >= len(whole):
            content[at - len(whole)] ^= 1 << at % 8
        path.write_bytes(content)
        try:
            check_shard(path)
            found = open_shard(path)
        except sl.ResultsError:
            refused += 1
        else:
            # Cut off before its comment, it has no origin, which a run requires.
            assert found.origin == (origin if at >= len(whole) else None)
            assert list(found.arrays) == list(arrays)
            assert all(np.array_equal(found.arrays[name], one) for name, one in arrays.items())
            assert all(found.arrays[name].dtype == one.dtype for name, one in arrays.items())
    assert refused > 1.5 * len(whole)


@pytest.mark.parametrize("kept", [0, 10, 200, -1])
def test_half_a_file_is_no_shard(tmp_path, kept):
    path = tmp_path / "a.npz"
    write_shard(path, {"x": np.arange(100.0)})
    whole = path.read_bytes()
    path.write_bytes(whole[:kept])
    with pytest.raises(sl.ResultsError, match=r"a\.npz is damaged .*: delete .* and run again"):
        read_shard(path)


def test_a_flipped_bit_is_found(tmp_path):
    path = tmp_path / "a.npz"
    write_shard(path, {"x": np.zeros(100), "y": np.zeros(100)})
    content = bytearray(path.read_bytes())
    content[len(content) // 4] ^= 1
    path.write_bytes(content)
    with pytest.raises(sl.ResultsError, match="the checksum of 'x' does not match"):
        check_shard(path)


def test_a_full_disk_leaves_nothing(tmp_path, python):
    """In a process of its own, for a limit of file sizes stays."""
    code = """
import resource, signal, sys, numpy as np
from seqlight.results.shards import write_shard
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
write_shard(sys.argv[1] + "/small.npz", {"x": np.zeros(1000)})
try:
    write_shard(sys.argv[1] + "/large.npz", {"x": np.zeros(100_000)})
except OSError as error:
    print(error.errno)
"""
    done = python("-c", code, tmp_path)
    assert done.stdout.strip() == "27", done.stderr  # EFBIG
    assert os.listdir(tmp_path) == ["small.npz"]
