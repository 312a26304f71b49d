"""References do not depend on the batch that a sequence comes in."""

import pytest
import torch

from seqlight import attribute, deep_lift_shap, dinucleotide_shuffle, random_one_hot, shuffle
from seqlight.attribution.references import References, dinucleotide_shuffles
from seqlight.errors import InputError, ReferencesWarning

pytestmark = pytest.mark.accelerator

X = random_one_hot((4, 4, 30), random_state=0)


@pytest.mark.parametrize("source", [dinucleotide_shuffle, shuffle])
def test_references_do_not_depend_on_the_batch(source):
    references = References(source, X, 5, 7)
    whole = references.draw(0, 4)
    assert whole.shape == (4, 5, 4, 30)
    assert torch.equal(whole, torch.cat([references.draw(i, i + 1) for i in range(4)]))
    for k in range(5):
        assert torch.equal(whole[2, k], source(X[2:3], n=1, random_state=7 + k)[0, 0])


def test_dinucleotide_shuffles_keep_dinucleotides():
    found = dinucleotide_shuffles(X, 3, 0)
    for i in range(4):
        for k in range(3):
            one = torch.einsum("al,bl->ab", X[i, :, :-1].float(), X[i, :, 1:].float())
            other = torch.einsum("al,bl->ab", found[i, k, :, :-1].float(), found[i, k, :, 1:].float())
            assert torch.equal(one, other)


def test_unknown_characters_keep_their_places():
    x = X.clone()
    x[0, :, 10:13] = 0
    x[1] = 0
    x[2, :, 2:] = 0
    found = dinucleotide_shuffles(x, 3, 0)
    assert not found[0, :, :, 10:13].any()
    assert (found[0].sum(1) == x[0].sum(0)).all()
    assert (found[0].sum(2) == x[0].sum(1)).all()
    assert not found[1].any()
    assert torch.equal(found[2], x[2].expand(3, -1, -1))
    assert torch.equal(found[3], dinucleotide_shuffles(X, 3, 0)[3])


def test_a_function_without_a_seed_is_called_once_for_all_references():
    calls = []

    def source(x, n):
        calls.append((len(x), n))
        return torch.zeros(1, n, 4, 30)

    References(source, X, 6, 0).draw(0, 2)
    assert calls == [(1, 6), (1, 6)]


def test_sequences_that_no_shuffle_changes_cause_a_warning():
    x = X.clone()
    x[1] = torch.nn.functional.one_hot(torch.zeros(30, dtype=torch.int64), 4).T
    x[3] = 0
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(120, 1))
    for call in (deep_lift_shap, attribute):
        with pytest.warns(ReferencesWarning, match="2 of 4 sequences are equal to all of their references") as warned:
            call(model, x, n_shuffles=4, random_state=0, device="cpu")
        assert [one.filename for one in warned] == [__file__]


def test_a_fresh_seed_is_drawn_once():
    references = References(dinucleotide_shuffle, X, 3, None)
    assert torch.equal(references.draw(0, 2), references.draw(0, 2))


def test_tensors_of_references_are_used_unchanged():
    given = torch.rand(4, 2, 4, 30)
    references = References(given, X, 20, None)
    assert references.n == 2
    assert torch.equal(references.draw(1, 3), given[1:3])


def test_a_seed_too_large_is_named():
    with pytest.raises(InputError, match="expected at most"):
        References(dinucleotide_shuffle, X, 10, 2**32 - 5)


def annotated(X: torch.Tensor, n: "int | None", much: float, *more: int, **named: str) -> torch.Tensor:
    return X


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (X, r"use references.unsqueeze\(1\) for one per sequence"),
        (X[0], rf"; use references\.expand\({len(X)}, 1, -1, -1\) for the same with every sequence\."),
        (X[:1], rf"; use references\.expand\({len(X)}, -1, -1, -1\) for the same with every sequence\."),
        (X[:1, None], rf"; use references\.expand\({len(X)}, -1, -1, -1\) for the same with every sequence\."),
        (
            0,
            r"references is an int: .*; for zeros use torch\.zeros_like\(X\)\.unsqueeze\(1\)\.",
        ),
        (X[:2].unsqueeze(1), r"expected \(sequences, references, letters, positions\), here \(4, any, 4, 30\)"),
        (X.unsqueeze(1).numpy(), r"is an ndarray: expected a tensor or a function; use torch.from_numpy\(references\)"),
        (lambda X: X, r"takes \(X\): expected \(X, n\) or \(X, n, random_state\)"),
        (lambda: X, r"takes \(\): expected"),
        (lambda X, n, much, more: X, r"takes \(X, n, much, more\): expected"),
        (annotated, r"takes \(X, n, much, \*more, \*\*named\): expected"),
    ],
)
def test_unusable_arguments_raise(source, message):
    with pytest.raises(InputError, match=message):
        References(source, X, 3, 0)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (None, r"returned None: expected a tensor of shape .*, here \(1, 3, 4, 30\)\."),
        (X[:1], r"returned a tensor of shape \(1, 4, 30\): expected .*; return it.unsqueeze\(1\) for one"),
        (
            X[:1].unsqueeze(1).numpy(),
            r"returned an ndarray of shape \(1, 1, 4, 30\): .*; return torch.from_numpy\(it\)",
        ),
        (X[:1, :, 1:].unsqueeze(1), r"returned shape \(1, 1, 4, 29\)"),
    ],
)
def test_unusable_results_of_reference_functions_raise(made, message):
    with pytest.raises(InputError, match=message):
        References(lambda X, n: made, X, 3, 0).draw(0, 1)
