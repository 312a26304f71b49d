import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import seqlight as sl
from seqlight.metrics import convergence_delta, reference_standard_error

pytestmark = pytest.mark.accelerator

sizes = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 9))


@given(sizes, st.integers(0, 999), st.integers(1, 3), st.sampled_from([torch.float32, torch.float64]))
def test_delta_against_loops(size, seed, references, dtype):
    torch.manual_seed(seed)
    attributions = torch.randn(size, dtype=dtype)
    outputs, baselines = torch.randn(size[0]), torch.randn(size[0], references)
    gaps, differences = [], []
    for i in range(size[0]):
        difference = float(outputs[i]) - sum(map(float, baselines[i])) / references
        gaps.append(abs(sum(map(float, attributions[i].flatten())) - difference))
        differences.append(abs(difference))
    expected = {"mean": sum(gaps) / size[0], "max": max(gaps), "relative": sum(gaps) / sum(differences)}
    for kind, value in expected.items():
        found = convergence_delta(attributions, outputs, baselines, kind)
        assert found.dtype == torch.float64
        assert float(found) == pytest.approx(value)


def test_delta_of_our_own_attributions_is_rounding():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv1d(4, 8, 5), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(208, 1))
    X = sl.random_one_hot((5, 4, 30), random_state=0)
    found = sl.attribute(model, X, n_shuffles="auto", tolerance=0.3, random_state=0)
    assert found.reference_outputs.isnan().any()  # not all sequences took as many
    assert float(convergence_delta(found.attributions, found.outputs, found.reference_outputs, "relative")) < 1e-5
    assert float(convergence_delta(2 * found.attributions, found.outputs, found.reference_outputs, "relative")) > 0.5


def test_delta_edges():
    nothing = torch.zeros(2, 4, 5)
    for kind in ("mean", "max", "relative"):
        assert float(convergence_delta(nothing, torch.ones(2), torch.ones(2, 3), kind)) == 0
    assert float(convergence_delta(nothing + 1, torch.ones(2), torch.ones(2, 3), "relative")) == math.inf
    for kind in ("mean", "max", "relative"):
        assert convergence_delta(nothing / 0, torch.ones(2), torch.ones(2, 3), kind).isnan()
        assert convergence_delta(nothing, torch.tensor([math.nan, 1]), torch.ones(2, 3), kind).isnan()
        assert convergence_delta(nothing, torch.ones(2), torch.tensor([[math.nan] * 3, [1.0] * 3]), kind).isnan()
    for outputs, baselines in (
        (torch.ones(2, 1), torch.ones(2, 3)),  # would broadcast to all pairs
        (torch.ones(2), torch.ones(2)),
        (torch.ones(2), torch.ones(3, 2)),
        (torch.ones(2), torch.ones(2, 0)),
    ):
        with pytest.raises(sl.InputError, match="outputs has shape"):
            convergence_delta(nothing, outputs, baselines)
    with pytest.raises(sl.InputError, match=r"attributions has shape \(0, 4, 5\)"):
        convergence_delta(nothing[:0], torch.ones(0), torch.ones(0, 3))
    with pytest.raises(sl.InputError, match="kind is 'largest': expected one of 'mean', 'max', 'relative'"):
        convergence_delta(nothing, torch.ones(2), torch.ones(2, 3), "largest")


@pytest.fixture(scope="module")
def explained():
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Conv1d(4, 8, 5), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(128, 1))
    X = sl.random_one_hot((3, 4, 20), random_state=1)
    X[1, :, 7] = 0  # an unknown character
    references = sl.dinucleotide_shuffle(X, end=None, n=6, random_state=1, allow_N=True)
    found = sl.attribute(model.double(), X, references=references, multipliers=True)
    return X, found


def test_standard_error_against_each_reference(explained):
    X, found = explained
    errors, magnitudes = [], []
    for i in range(len(X)):
        for p in range(X.shape[2]):
            letters = [c for c in range(4) if X[i, c, p]]
            if not letters:
                continue
            samples = []
            for multiplier, reference in zip(found.multipliers[i], found.references[i], strict=True):
                there = torch.zeros(4, dtype=torch.float64)
                there[letters[0]] = 1
                samples.append(float((multiplier[:, p] * (there - reference[:, p])).sum()))
            mean = sum(samples) / 6
            errors.append(math.sqrt(sum((one - mean) ** 2 for one in samples) / 5 / 6))
            magnitudes.append(abs(mean))
    assert len(errors) == 59
    absolute = reference_standard_error(found.attributions, found.standard_error, X)
    assert float(absolute) == pytest.approx(sum(errors) / 59)
    relative = reference_standard_error(found.attributions, found.standard_error, X, "relative")
    assert float(relative) == pytest.approx(sum(errors) / sum(magnitudes))


def test_standard_error_of_positions(explained):
    X, found = explained
    track, errors = found.attributions.sum(dim=1), (found.standard_error * X).sum(dim=1)
    for kind in ("absolute", "relative"):
        expected = float(reference_standard_error(found.attributions, found.standard_error, X, kind))
        assert float(reference_standard_error(track, errors, X, kind)) == pytest.approx(expected)
    # Without the sequences the unknown position counts: it has no error.
    assert float(reference_standard_error(track, errors)) == pytest.approx(float(errors.sum()) / 60)


def test_standard_error_edges(explained):
    X, found = explained
    nothing = torch.zeros_like(found.attributions)
    assert float(reference_standard_error(nothing, nothing, X, "relative")) == 0
    assert reference_standard_error(nothing, nothing / 0, X).isnan()
    elsewhere = torch.where(X != 0, 0.5, math.nan)  # only what is there is read
    assert float(reference_standard_error(nothing, elsewhere, X)) == 0.5
    assert reference_standard_error(nothing, nothing, torch.zeros_like(X)).isnan()
    with pytest.raises(sl.InputError, match=r"attributions has shape .* expected the same sequences and positions"):
        reference_standard_error(found.attributions[1:], found.standard_error, X)
    with pytest.raises(sl.InputError, match=r"X has shape .* expected the same sequences and positions"):
        reference_standard_error(found.attributions, found.standard_error, X[:, :, 1:])
    with pytest.raises(sl.InputError, match="standard_error is of letters, and X is None"):
        reference_standard_error(found.attributions, found.standard_error)
    with pytest.raises(sl.InputError, match="kind is 'mean'"):
        reference_standard_error(nothing, nothing, X, "mean")
