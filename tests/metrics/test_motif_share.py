import math

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import seqlight as sl
from seqlight.metrics import motif_interval_share, motif_window_share
from seqlight.metrics.motif_share import require_window


@given(st.integers(0, 999), st.integers(1, 4), st.integers(1, 9), st.data())
def test_against_loops(seed, n, length, data):
    torch.manual_seed(seed)
    attributions = torch.randn(n, 3, length, dtype=torch.float64)
    start = data.draw(st.integers(0, length - 1))
    end = data.draw(st.integers(start + 1, length))
    inside = total = 0.0
    for i in range(n):
        for p in range(length):
            value = max(sum(float(attributions[i, c, p]) for c in range(3)), 0)
            total += value
            inside += value * (start <= p < end)
    expected = inside / total if total else 0
    known = pd.DataFrame({"example_idx": range(n), "start": start, "end": end})
    for X in (attributions, attributions.sum(dim=1)):
        assert float(motif_window_share(X, start, end)) == pytest.approx(expected)
        assert float(motif_interval_share(X, known)) == pytest.approx(expected)


def test_edges():
    nothing = torch.zeros(2, 4, 5)
    broken = nothing.clone()
    broken[1, 0, 4] = math.nan
    known = pd.DataFrame({"example_idx": [0, 0, 0], "start": [1, 2, -5], "end": [4, 3, 1]})
    for share in (lambda X: motif_window_share(X, 0, 2), lambda X: motif_interval_share(X, known)):
        assert float(share(nothing)) == float(share(nothing - 1)) == 0
        assert share(broken).isnan()
    assert float(motif_interval_share(torch.ones(2, 1, 5), known)) == pytest.approx(0.4)  # a position counts once
    assert float(motif_interval_share(torch.ones(2, 1, 5), known[:0])) == 0
    assert motif_interval_share(broken, known[:0]).isnan()
    for window in ((-3, 2), (2, 2), (3, 2), (0, 6)):
        with pytest.raises(sl.InputError, match=f"the window is {window[0]} to {window[1]}.*end <= 5"):
            motif_window_share(nothing, *window)
    with pytest.raises(sl.InputError, match=r"the window is 5 to 2: expected 0 <= start < end\."):
        require_window(5, 2)
    for n in (1, 2):
        with pytest.raises(sl.InputError, match=f"known names an example_idx outside 0 to {n - 1}"):
            motif_interval_share(nothing[:n], known.assign(example_idx=n))
