"""References, with which each sequence is compared."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqlight.errors import InputError, ReferencesWarning, kind_of
from seqlight.sequence.checks import require_dense
from seqlight.sequence.random_streams import LARGEST_SEED, seed
from seqlight.sequence.shuffles import dinucleotide_shuffle

ReferenceFunction = Callable[..., Tensor]


class References:
    """The references of every sequence of a data set; they do not depend on the batch that a sequence comes in.

    Parameters
    ----------
    source : torch.Tensor of shape (sequences, references, letters, positions), or callable
        A function is called as ``source(X, n=1, random_state=random_state + k)`` for reference k, one
        sequence at a time; a function without ``random_state`` is called once for all references.
    X : torch.Tensor, shape (sequences, letters, positions)
        The data set.
    n : int
        References per sequence, if `source` is a function.
    random_state : int or None
        The seed of reference 0; None for a fresh one.

    Attributes
    ----------
    X : torch.Tensor
        The data set, on the CPU.
    n : int
        References per sequence.
    seed : int
        The seed of reference 0, if `source` is a function.
    unchanged : int
        How many of the sequences drawn so far are equal to all of their references.

    Raises
    ------
    InputError
        If `source` is neither, if a tensor's shape does not fit `X`, or if the seed cannot be used.
    """

    def __init__(self, source: Tensor | ReferenceFunction, X: Tensor, n: int, random_state: int | None) -> None:
        source = require_dense(source, "references").detach() if isinstance(source, Tensor) else source
        # On the CPU, where results are: a function of the user's gets the sequences where they are.
        self.source, self.X, self._given = source, X.cpu(), X
        self.seed = 0
        self.unchanged = 0
        if isinstance(source, Tensor):
            if source.ndim != 4 or len(source) != len(X) or source.shape[2:] != X.shape[1:] or not source.shape[1]:
                raise InputError(
                    f"references has shape {tuple(source.shape)}: expected (sequences, references, letters, "
                    f"positions), here ({len(X)}, any, {X.shape[1]}, {X.shape[2]}){_reshaping(source, X)}."
                )
            # The sum is finite only if all numbers are; it may also overflow, so then each number is checked.
            if not bool(torch.isfinite(source.sum()) or torch.isfinite(source).all()):
                raise InputError("references holds NaN or infinity: expected finite numbers.")
            self.n = source.shape[1]
            return
        if not callable(source):
            remedy = "; use torch.from_numpy(references)" if isinstance(source, np.ndarray) else ""
            if isinstance(source, int | float) and not source:  # as other packages write a baseline of zeros
                remedy = "; for zeros use torch.zeros_like(X).unsqueeze(1)"
            raise InputError(f"references is {kind_of(source)}: expected a tensor or a function{remedy}.")
        _require_two_arguments(source)
        self.n = n
        self.seed = seed(random_state) if random_state is not None else seed(None) // 2
        if self.seed + n - 1 > LARGEST_SEED:
            raise InputError(
                f"random_state is {random_state}: expected at most {LARGEST_SEED - n + 1} for {n} references."
            )

    @property
    def repeatable(self) -> bool:
        """Whether a reference is the same whenever it is drawn, so that it may be drawn in vain."""
        return isinstance(self.source, Tensor) or _is_seeded(self.source)

    def draw(self, first: int, last: int, start: int = 0, stop: int | None = None) -> Tensor:
        """Return the references ``start <= k < stop`` of the sequences ``first <= i < last``.

        Parameters
        ----------
        first, last : int
            Which sequences.
        start, stop : int, optional
            Which of their references; all by default.

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
            found = torch.cat([self._call_source(self._given[i : i + 1], start, stop) for i in range(first, last)])
        if not start:
            X = self.X if found.is_cpu else self._given
            same = (found == X[first:last].to(found.device).unsqueeze(1)).flatten(1).all(dim=1)
            self.unchanged += int(same.sum())
        return found

    def warn_if_unchanged(self) -> None:
        """Warn of sequences that are equal to all of their references; the warning names the caller's caller."""
        if self.unchanged:
            warn_of_unchanged(f"{self.unchanged} of {len(self.X)}", stacklevel=3)

    def _call_source(self, x: Tensor, start: int, stop: int) -> Tensor:
        """Return references of one sequence, as the function makes them."""
        assert callable(self.source)
        takes, seeded = inspect.signature(self.source).parameters, _is_seeded(self.source)
        if seeded:
            drawn = [_call_function(self.source, x, 1, takes, random_state=self.seed + k) for k in range(start, stop)]
            found, wanted = torch.cat(drawn, dim=1), stop - start
        else:
            found, wanted = _call_function(self.source, x, self.n, takes), self.n
        if found.shape != (1, wanted, *x.shape[1:]):
            raise InputError(
                f"the reference function returned shape {tuple(found.shape)} for one sequence and {wanted} references: "
                f"expected (1, {wanted}, {x.shape[1]}, {x.shape[2]}), or (1, 1, ...) from each call with n=1."
            )
        return found if seeded else found[:, start:stop]


def _reshaping(source: Tensor, X: Tensor) -> str:
    """Return how a tensor becomes one of references: of one for each sequence, or of the same for all."""
    if source.shape == X.shape:
        return "; use references.unsqueeze(1) for one per sequence"
    if source.shape[-2:] != X.shape[1:] or source.ndim > 4 or (source.ndim == 4 and len(source) != 1):
        return ""
    rest = "1, -1, -1" if source.ndim == 2 else "-1, -1, -1"
    return f"; use references.expand({len(X)}, {rest}) for the same with every sequence"


def warn_of_unchanged(count: int | str, stacklevel: int) -> None:
    """Warn that so many sequences are equal to all of their references; `stacklevel` is counted from the caller."""
    warnings.warn(
        f"{count} sequences are equal to all of their references, so nothing in them is explained: a shuffle cannot "
        "change them; pass references of another kind.",
        ReferencesWarning,
        stacklevel=stacklevel + 1,
    )


def dinucleotide_shuffles(X: Tensor, n: int, seed: int) -> Tensor:
    """Return `n` dinucleotide shuffles of each sequence; shuffle k has the seed ``seed + k``.

    Unknown characters (columns of zeros) stay in place; the known ones are shuffled around them.

    Parameters
    ----------
    X : torch.Tensor, shape (sequences, letters, positions)
        One-hot.
    n, seed : int
        How many shuffles, and the seed of the first.

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
    """Raise InputError unless the function takes sequences and a number of references."""
    signature = inspect.signature(source)
    named = {name: 0 for name in ("n", "random_state") if name in signature.parameters}
    try:
        signature.bind("X", *(() if "n" in named else (1,)), **named)
    except TypeError:
        raise InputError(
            f"the reference function takes ({_parameter_names(signature)}): expected (X, n) or (X, n, random_state), "
            "to return n references for each sequence."
        ) from None


def _is_seeded(source: ReferenceFunction) -> bool:
    """Return whether a function of references takes a seed."""
    takes = inspect.signature(source).parameters
    return "random_state" in takes or any(p.kind is p.VAR_KEYWORD for p in takes.values())


def _call_function(source: Any, x: Tensor, n: int, takes: Any, **more: Any) -> Tensor:
    """Return the references that `source` makes of `x`; InputError if they are not a tensor of four dimensions."""
    found = source(x, n=n, **more) if "n" in takes else source(x, n, **more)
    if isinstance(found, Tensor) and require_dense(found, "what the reference function returned").ndim == 4:
        return found.detach()
    kind = f"a tensor of shape {tuple(found.shape)}" if isinstance(found, Tensor) else kind_of(found)
    remedy = ""
    if isinstance(found, np.ndarray):
        kind, remedy = f"{kind} of shape {found.shape}", "; return torch.from_numpy(it)"
    elif isinstance(found, Tensor) and found.ndim == 3:
        remedy = "; return it.unsqueeze(1) for one reference, it.unsqueeze(0) for several references of one sequence"
    raise InputError(
        f"the reference function returned {kind}: expected a tensor of shape (sequences, references, letters, "
        f"positions), here (1, {n}, {x.shape[1]}, {x.shape[2]}){remedy}."
    )


def _parameter_names(signature: inspect.Signature) -> str:
    """Return the parameters of a function as text, without annotations and defaults, which can fill pages."""
    stars: dict[Any, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    return ", ".join(stars.get(one.kind, "") + one.name for one in signature.parameters.values())
