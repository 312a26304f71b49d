"""What each sequence is compared with."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqlight.errors import InputError, ReferencesWarning, a
from seqlight.sequence.checks import require_dense
from seqlight.sequence.random_streams import LARGEST_SEED, seed
from seqlight.sequence.shuffles import dinucleotide_shuffle

ReferenceFunction = Callable[..., Tensor]


class References:
    """References of any sequence of a data set, independent of the batch that it comes in.

    Parameters
    ----------
    source : torch.Tensor of shape (sequences, references, letters, positions), or callable
        A function is called as ``source(X, n=1, random_state=random_state + k)`` for reference k, one
        sequence at a time; one that takes no ``random_state``, once for all references.
    X : torch.Tensor, shape (sequences, letters, positions)
        The data set.
    n : int
        References a sequence, where `source` is a function.
    random_state : int or None
        The seed of reference 0; None for a fresh one.

    Raises
    ------
    InputError
        If a tensor's shape does not fit `X`, or the seed cannot be used.
    """

    def __init__(self, source: Tensor | ReferenceFunction, X: Tensor, n: int, random_state: int | None) -> None:
        source = require_dense(source, "references").detach() if isinstance(source, Tensor) else source
        self.source, self.X = source, X
        self.seed = 0
        self.unmoved = 0  # how many sequences their references were equal to
        if isinstance(source, Tensor):
            if source.ndim != 4 or len(source) != len(X) or source.shape[2:] != X.shape[1:] or not source.shape[1]:
                one_each = "; use references.unsqueeze(1) for one each" if source.shape == X.shape else ""
                raise InputError(
                    f"references has shape {tuple(source.shape)}: expected (sequences, references, letters, "
                    f"positions), here ({len(X)}, any, {X.shape[1]}, {X.shape[2]}){one_each}."
                )
            # A sum is a number only if all are; if they are too large for one, each is asked.
            if not bool(torch.isfinite(source.sum()) or torch.isfinite(source).all()):
                raise InputError("references holds NaN or infinity: expected finite numbers.")
            self.n = source.shape[1]
            return
        if not callable(source):
            remedy = "; use torch.from_numpy(references)" if isinstance(source, np.ndarray) else ""
            raise InputError(f"references is {a(source)}: expected a tensor or a function{remedy}.")
        _require_two_arguments(source)
        self.n = n
        self.seed = seed(random_state) if random_state is not None else seed(None) // 2
        if self.seed + n - 1 > LARGEST_SEED:
            raise InputError(
                f"random_state is {random_state}: expected at most {LARGEST_SEED - n + 1} for {n} references."
            )

    def of(self, first: int, last: int, start: int = 0, stop: int | None = None) -> Tensor:
        """Return references of the sequences ``first <= i < last``.

        Parameters
        ----------
        first, last : int
            Which sequences.
        start, stop : int, optional
            Which of their references, ``start <= k < stop``; all by default.

        Returns
        -------
        torch.Tensor, shape (last - first, stop - start, letters, positions)
        """
        stop = self.n if stop is None else stop
        if isinstance(self.source, Tensor):
            return self.source[first:last, start:stop]
        if self.source is dinucleotide_shuffle:
            found = dinucleotide_shuffles(self.X[first:last], stop - start, self.seed + start)
        else:
            found = torch.cat([self._called(self.X[i : i + 1], start, stop) for i in range(first, last)])
        if not start:
            same = (found == self.X[first:last].to(found.device).unsqueeze(1)).flatten(1).all(dim=1)
            self.unmoved += int(same.sum())
        return found

    def tell(self) -> None:
        """Warn the caller's caller of sequences that are their own references."""
        if self.unmoved:
            warnings.warn(
                f"{self.unmoved} of {len(self.X)} sequences are equal to all of their references, so nothing in them "
                "is explained: a shuffle cannot change them; pass references of another kind.",
                ReferencesWarning,
                stacklevel=3,
            )

    def _called(self, x: Tensor, start: int, stop: int) -> Tensor:
        assert callable(self.source)
        takes = inspect.signature(self.source).parameters
        seeded = "random_state" in takes or any(p.kind is p.VAR_KEYWORD for p in takes.values())
        if seeded:
            drawn = [_call(self.source, x, 1, takes, random_state=self.seed + k) for k in range(start, stop)]
            found, wanted = torch.cat(drawn, dim=1), stop - start
        else:
            found, wanted = _call(self.source, x, self.n, takes), self.n
        if found.shape != (1, wanted, *x.shape[1:]):
            raise InputError(
                f"the reference function made shape {tuple(found.shape)} for one sequence and {wanted} references: "
                f"expected (1, {wanted}, {x.shape[1]}, {x.shape[2]}), or (1, 1, ...) for each call with n=1."
            )
        return found if seeded else found[:, start:stop]


def dinucleotide_shuffles(X: Tensor, n: int, seed: int) -> Tensor:
    """Return `n` dinucleotide shuffles of each sequence, shuffle k of each with seed ``seed + k``.

    Unknown characters (columns of zeros) keep their places; the known ones are shuffled around them.

    Parameters
    ----------
    X : torch.Tensor, shape (sequences, letters, positions)
        One-hot.
    n, seed : int
        How many, and the seed of the first.

    Returns
    -------
    torch.Tensor, shape (sequences, n, letters, positions)
    """
    known = (X != 0).any(dim=1)
    if bool(known.all()):
        copies = X.repeat_interleave(n, dim=0)
        seeds = np.tile(np.arange(seed, seed + n), len(X)).tolist()
        return dinucleotide_shuffle(copies, n=1, random_state=seeds).view(len(X), n, *X.shape[1:])
    out = torch.zeros((len(X), n, *X.shape[1:]), dtype=X.dtype, device=X.device)
    for i, places in enumerate(known):
        if bool(places.any()):
            x = X[i : i + 1, :, places]
            out[i, :, :, places] = x if x.shape[2] < 3 else dinucleotide_shuffles(x, n, seed)[0]
    return out


def _require_two_arguments(source: ReferenceFunction) -> None:
    """Raise InputError unless the function can be called with sequences and a number of references."""
    signature = inspect.signature(source)
    named = {name: 0 for name in ("n", "random_state") if name in signature.parameters}
    try:
        signature.bind("X", *(() if "n" in named else (1,)), **named)
    except TypeError:
        raise InputError(
            f"the reference function takes ({_names(signature)}): expected (X, n) or (X, n, random_state), "
            "to return n references of each sequence."
        ) from None


def _call(source: Any, x: Tensor, n: int, takes: Any, **more: Any) -> Tensor:
    found = source(x, n=n, **more) if "n" in takes else source(x, n, **more)
    if isinstance(found, Tensor) and require_dense(found, "what the reference function returned").ndim == 4:
        return found.detach()
    met = f"a tensor of shape {tuple(found.shape)}" if isinstance(found, Tensor) else a(found)
    remedy = ""
    if isinstance(found, np.ndarray):
        met, remedy = f"{met} of shape {found.shape}", "; return torch.from_numpy of it"
    elif isinstance(found, Tensor) and found.ndim == 3:
        remedy = "; return unsqueeze(1) of it for one reference, unsqueeze(0) for several of one sequence"
    raise InputError(
        f"the reference function returned {met}: expected a tensor of shape (sequences, references, letters, "
        f"positions), here (1, {n}, {x.shape[1]}, {x.shape[2]}){remedy}."
    )


def _names(signature: inspect.Signature) -> str:
    """Return what a function takes, without annotations and defaults: those can be pages."""
    stars: dict[Any, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    return ", ".join(stars.get(one.kind, "") + one.name for one in signature.parameters.values())
