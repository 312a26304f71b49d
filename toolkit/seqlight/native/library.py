"""The compiled loops: which build is loaded, and how Python calls each of them."""

from __future__ import annotations

import ctypes
import os
import struct
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

from numpy.typing import NDArray

_int, _long, _bits, _real, _at = ctypes.c_int, ctypes.c_int64, ctypes.c_uint64, ctypes.c_double, ctypes.c_void_p
_spans = (_at, _long, _long, _long, _at, _at, _at)
# The result and the arguments of each loop, as its C file declares them.
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    # shuffles.c
    "encode_rows": (_long, _at, *[_long] * 3, _at, *[_long] * 3, _bits, _at),
    "one_hot_rows": (None, _at, *[_long] * 5, _bits, _at, _long, _long),
    "read_rows": (_int, _at, *[_long] * 5, _bits, _at),
    "dinucleotide_rows": (_int, _at, _at, *[_long] * 7, _bits, _at, _long, _long, _at),
    "reorder_rows": (None, _at, _at, *[_long] * 6, _at, _long, _long),
    "random_rows": (None, _at, _at, _at, *[_long] * 4, _at),
    # fasta_windows.c
    "cut_rows": (_long, _at, _at, *[_long] * 3, _at, _long, _long, _bits, _at),
    # recursive_seqlets.c
    "span_counts": (None, _at, _long, _long, _at, _at),
    "span_tails": (_int, _at, _long, _long, _at),
    "span_calls": (_long, *_spans, _long, _long, _at, _at),
    "span_level_counts": (_long, *_spans, *[_long] * 3, _at),
    # modisco_seqlets.c
    "window_sums": (None, _at, *[_long] * 5, _at, _at),
    "window_peaks": (_long, _at, *[_long] * 3, _real, _real, _long, _long, _at),
    "bucket_counts": (None, _at, _long, _long, _at),
    "bucket_members": (_long, _at, _long, _long, _at, _at),
    "shuffle_front": (None, _at, _long, _long, ctypes.c_uint32),
    "join_points": (_long, _at, _at, _long, _real, _real, *[_at] * 3),
    "isotonic_fit": (_long, _at, _at, _long),
    # convolution.c and linear.c
    "convolution_panels": (_long, *[_long] * 5),
    "fast_products": (_real, *[_long] * 3),
    "packed_weights": (_long, *[_long] * 4),
    "weight_groups": (_long, _long),
    "layer_panels": (_long, _long),
    "packed_layers": (_long, _long, _long),
    # simd_width.c and threads.c
    "lanes": (_int,),
    "lanes_here": (_int,),
    "run_on_team": (_int, _at, _at, _at, _long, _long),
}
# Loops that are run by name take one struct (see threads.c): its pointers, integers and floating-point numbers.
_LAYOUTS: dict[str, str] = {
    # elementwise.c and smooth_activations.c
    "secants": "6P3q2dq",
    "relu_gradients": "4P3qd",
    "relu_derivatives": "7Pq",
    "activations": "3Pq",
    "activation_gradients": "6P3q2d",
    "activation_multipliers": "7Pqd",
    "activation_derivatives": "8Pqd",
    # pooling.c
    "pools": "7P9q2d",
    "pool_credits": "8P5qd",
    "pool_gradients": "4P3q",
    "pool_derivatives": "11P3q",
    # softmax.c
    "softmax_multipliers": "6P4qd",
    "softmax_gradients": "4P2q",
    "attention_gradients": "6P4qd",
    "softmax_derivatives": "9P2qd",
    # layer_norm.c
    "standardisations": "7P5qd",
    "standardisation_gradients": "9P4q",
    "standardised_gradients": "9P4q",
    "standardised_derivatives": "12P2q",
    # gru.c
    "gru_trajectories": "4P4q",
    "gru_trajectory_gradients": "9P4q",
    "gru_multipliers": "13P4q",
    "gru_derivatives": "17P4q",
    # lstm.c
    "lstm_trajectories": "4P4q",
    "lstm_trajectory_gradients": "8P4q",
    "lstm_multipliers": "15P4q",
    "lstm_derivatives": "16P4q",
    # contributions.c
    "contribution_totals": "4P4q",
    # attention.c and attention_derivatives.c
    "attention_forward": "8P41q2d",
    "attention_backward": "17P41q2d",
    "attention_slopes": "8P41q2d",
    "attention_derivatives": "23P41q2d21q",
    # convolution.c and linear.c
    "convolve_panels": "4P9q",
    "pack_weights": "2P7q",
    "linear_layers": "4P2q",
    "pack_layers": "2P4q",
    # changed_windows.c and changed_convolutions.c
    "reference_sums": "4P3qd",
    "wider_windows": "5P3q",
    "changed_convolutions": "5P7q",
}
# Builds of the same loops, with how many float32 their registers hold.
_BUILDS = {"avx512": 16, "avx2": 8, "plain": 0}


@cache
def library() -> ctypes.CDLL | None:
    """Return the build for the widest registers that this machine has, or None if none was built.

    The environment variable ``SEQLIGHT_NATIVE`` chooses a narrower one, ``avx2`` or ``plain``, or turns all off with
    ``0``. Every loop has a twin in NumPy or PyTorch with the same results. Only where loops are written for wide
    registers, those of convolutions say, PyTorch's own functions take their place, which round differently.

    Returns
    -------
    ctypes.CDLL or None
        The library; its functions release the GIL while they run.

    Raises
    ------
    ValueError
        If the environment variable is none of these.
    """
    asked = os.environ.get("SEQLIGHT_NATIVE", "1")
    if asked not in {"0", "1", *_BUILDS}:
        raise ValueError(f"SEQLIGHT_NATIVE is {asked!r}; set it to 0, {', '.join(_BUILDS)} or, for the widest, 1.")
    plain = None if asked == "0" else _loaded("_loops")
    if plain is None:
        return None
    most = min(plain.lanes_here(), _BUILDS.get(asked, plain.lanes_here()))
    wider = (_loaded(f"_loops_{name}") for name, lanes in _BUILDS.items() if 0 < lanes <= most)
    return next((loops for loops in wider if loops is not None), plain)


def _loaded(build: str) -> ctypes.CDLL | None:
    found = [path for path in Path(__file__).parent.glob(f"{build}.*") if path.suffix in {".so", ".dylib", ".dll"}]
    if not found:
        return None
    loops = ctypes.CDLL(str(found[0]))
    by_name = dict.fromkeys(_LAYOUTS, (_int, _at, _long, _long))
    for name, (result, *arguments) in (_SIGNATURES | by_name).items():
        try:
            function = getattr(loops, name)
        except AttributeError:
            raise ImportError(
                "seqlight's compiled loops are older than its sources: install it again, or in a checkout run "
                "python toolkit/build_native.py."
            ) from None
        function.restype, function.argtypes = result, arguments
    return loops


class Loop(NamedTuple):
    """A loop that is run by name: the function, its address, and the layout of its arguments in memory."""

    function: Any
    address: int
    arguments: struct.Struct


@cache
def loop(name: str) -> Loop:
    """Return the compiled loop of this name; call it only where there are compiled loops."""
    native = library()
    assert native is not None
    function = getattr(native, name)
    return Loop(function, ctypes.cast(function, _at).value or 0, struct.Struct(_LAYOUTS[name]))


def has_lanes(native: ctypes.CDLL | None) -> TypeGuard[ctypes.CDLL]:
    """Return whether there are compiled loops, among them those for registers of several float32 (simd.h)."""
    return native is not None and _lanes(native) > 0


@cache
def _lanes(native: ctypes.CDLL) -> int:
    return int(native.lanes())


def pointer(array: NDArray[Any]) -> int:
    """Return the address of a C-contiguous array, which the caller keeps alive while the loop runs."""
    if not array.flags.c_contiguous:
        raise AssertionError("the compiled loops take C-contiguous arrays")
    return int(array.ctypes.data)
