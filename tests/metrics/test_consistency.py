"""The directions of attribution maps, against a literal version in the steps of the authors' released code."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import seqlight as sl
from planted_network import train_planted
from seqlight.metrics import attribution_consistency, kmer_consistency


def slow_consistency(maps, k, share, released):
    """Return the consistency of maps (sequences, positions, letters), point by point and box by box."""
    n, length, _ = maps.shape
    points = []
    for one in maps:
        corrected = [vector - vector.mean() for vector in one]
        total = sum(math.sqrt(vector @ vector) for vector in corrected)
        for i in range(length):
            x, y, z, w = sum(corrected[(i + j) % length] for j in range(k)) / (total or 1)
            middle = -x / 2 - y / 2 + (0 if released else z)
            points.append(
                (math.sqrt(1 / 2) * (y - x), math.sqrt(2 / 3) * middle, math.sqrt(3 / 4) * (w - (x + y + z) / 3))
            )
    sizes = [math.hypot(*point) for point in points]
    cutoff = sorted(sizes)[-int(share * n * length)]
    density = np.zeros((31, 31))
    for (a, b, c), size in zip(points, sizes, strict=True):
        if size > cutoff:
            around, away = math.atan2(c, b) / 2 + math.pi / 2, math.acos(max(-1, min(1, a / size)))
            density[min(int(around / 0.1), 30), min(int(away / 0.1), 30)] += size**2
    density /= density.sum() * 0.1**2
    total = 0.0
    for i in range(1, 30):
        for j in range(1, 30):
            near = [
                density[p, q] for p in range(i - 3, i + 3) for q in range(j - 3, j + 3) if 0 < p < 31 and 0 < q < 31
            ]
            if density[i, j] > 0:
                total += density[i, j] * math.log(density[i, j] / (sum(near) / len(near)))
    return total * 0.1**2


def draw(n, length, seed, like="noise"):
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(n, 4, length, generator=generator, dtype=torch.float64)
    if like == "observed":
        maps *= sl.random_one_hot((n, 4, length), random_state=seed)
    return maps


@settings(max_examples=15)
@given(
    st.integers(1, 5),
    st.integers(8, 20),
    st.integers(1, 4),
    st.sampled_from([0.1, 0.3, 1.0]),
    st.sampled_from(["orthonormal", "released"]),
    st.sampled_from(["noise", "observed"]),
    st.integers(0, 10**6),
)
def test_against_the_definition(n, length, k, share, basis, like, seed):
    maps = draw(n, length, seed, like)
    if int(share * n * length) < 2:
        assert attribution_consistency(maps, k, share, basis).isnan()
        return
    expected = slow_consistency(maps.transpose(1, 2).numpy(), k, share, basis == "released")
    assert float(attribution_consistency(maps, k, share, basis)) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.sampled_from([1e-300, 1e-20, 3.0, 1e200]))
def test_neither_the_order_nor_the_scale_nor_an_offset_of_maps_matters(seed, scale):
    maps = draw(6, 30, seed)
    one = float(attribution_consistency(maps))
    generator = torch.Generator().manual_seed(seed)
    moved = maps[torch.randperm(6, generator=generator)].roll(7, dims=2)
    assert float(attribution_consistency(moved)) == pytest.approx(one, rel=1e-9)
    assert float(attribution_consistency(maps * scale)) == pytest.approx(one, rel=1e-9)
    # The same for all letters of a position, which no sequence of letters can feel.
    offset = torch.rand(6, 1, 30, generator=generator, dtype=torch.float64)
    assert float(attribution_consistency(maps + offset)) == pytest.approx(one, rel=1e-9)


def test_more_of_the_same_directions_are_more_consistent():
    maps = draw(300, 60, 0)
    found = []
    for size in (0, 10, 20, 40):
        planted = maps.clone()
        planted[:, :, 20:25] += size * torch.eye(4)[:, [3, 2, 0, 1, 0]]
        found.append(float(attribution_consistency(planted)))
    assert found == sorted(found)
    assert found[-1] > 5 * found[0]


def test_noise_comes_to_0_with_more_points():
    few, many = (float(attribution_consistency(draw(n, 100, 1))) for n in (20, 2000))
    assert 0 < many < 0.05 < few


def test_edges():
    maps = draw(4, 30, 0)
    for bad in (math.nan, math.inf):
        broken = maps.clone()
        broken[0, 0, 0] = bad
        assert attribution_consistency(broken).isnan()
    assert attribution_consistency(torch.zeros(4, 4, 30)).isnan()
    # A map without attribution has no directions of its own.
    blank = torch.cat([maps, torch.zeros(4, 4, 30)])
    assert float(attribution_consistency(blank, share=0.1)) == float(attribution_consistency(maps, share=0.2))
    half = attribution_consistency(torch.full((2, 4, 30), 6e4).half() * torch.eye(4).half()[:, :1].expand(-1, 30))
    assert half.dtype == torch.float64
    for arguments, message in [
        ((torch.zeros(2, 20, 9),), "for other alphabets use kmer_consistency"),
        ((torch.zeros(2, 9),), r"expected \(sequences, 4, positions\)"),
        ((torch.zeros(0, 4, 9),), "none of them 0"),
        ((maps, 31), "k is 31: expected at most the 30"),
        ((maps, 0), "k is 0"),
        ((maps, 3, 0), "share is 0: expected"),
        ((maps, 3, 1.5), "share is 1.5: expected"),
        ((maps, 3, 0.1, "polar"), "basis is 'polar'"),
    ]:
        with pytest.raises(sl.InputError, match=message):
            attribution_consistency(*arguments)


def test_a_network_that_has_found_planted_motifs_is_consistent():
    untrained, trained, X = train_planted()
    before, after = (
        sl.attribute(model, X, n_shuffles=5, random_state=0, device="cpu").hypothetical
        for model in (untrained, trained)
    )
    assert float(attribution_consistency(after)) > 2 * float(attribution_consistency(before))
    assert float(kmer_consistency(after, X)) > 5 * float(kmer_consistency(before, X))
