"""Encode, decode, reverse-complement and draw one-hot sequences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlight.errors import InputError, kind_of
from seqlight.sequence import alphabets, checks, letters, native_loops, random_streams
from seqlight.sequence.random_streams import RandomSource

DNA_COMPLEMENT: Mapping[str, str] = MappingProxyType({"A": "T", "C": "G", "G": "C", "T": "A"})


def one_hot_encode(
    sequence: str | Sequence[str],
    alphabet: Sequence[str] = letters.DNA,
    dtype: torch.dtype | str = torch.int8,
    ignore: Sequence[str] = ("N",),
) -> Tensor:
    """One-hot encode a string, or several strings of one length.

    Parameters
    ----------
    sequence : str or sequence of str
        The characters; case matters.
    alphabet : sequence of str
        The characters in the order of the rows; or "DNA", "RNA" (T is read as U) or "protein".
    dtype : torch.dtype or str
        The dtype of the result.
    ignore : sequence of str
        Unknown characters, which become columns of zeros; with an alphabet by its name also IUPAC's letters for one of
        several, such as R and Y, and for proteins X in place of N.

    Returns
    -------
    torch.Tensor, shape (letters, positions), or (sequences, letters, positions) for several

    Raises
    ------
    InputError
        If a sequence is empty, lengths differ, or a character is in neither `alphabet` nor `ignore`.

    Examples
    --------
    >>> from seqlight import one_hot_encode
    >>> one_hot_encode("GAN").tolist()
    [[0, 1, 0], [0, 0, 0], [1, 0, 0], [0, 0, 0]]
    """
    named = alphabets.named_alphabet(alphabet)
    sequences = [sequence] if isinstance(sequence, str) else _as_list(sequence)
    if named is not None:
        alphabet, ignore = named.letters, named.unknown if tuple(ignore) == ("N",) else ignore
        sequences = [alphabets.replace_synonyms(one, named) for one in sequences]
    known = letters.known_bytes(tuple(alphabet), tuple(ignore))
    text = b"".join([letters.to_bytes(one) for one in sequences])
    length = _common_length(sequences)
    many = () if isinstance(sequence, str) else (len(sequences),)
    out = torch.empty(*many, len(alphabet), length, dtype=_as_dtype(dtype), device="cpu")
    bad = native_loops.encode(text, known, out)
    if bad >= 0:
        which = bad // length
        raise letters.unknown_character(
            sequences[which], bad % length, alphabet, ignore, which if len(sequences) > 1 else None
        )
    return out


def characters(
    pwm: object, alphabet: Sequence[str] = letters.DNA, force: bool = False, allow_N: bool = False
) -> str | list[str]:
    """Decode one-hot sequences into strings.

    Parameters
    ----------
    pwm : torch.Tensor, shape (letters, positions) or (sequences, letters, positions)
        One-hot, or any numbers with `force`.
    alphabet : sequence of str
        The characters in the order of the rows; or "DNA", "RNA" or "protein".
    force : bool
        Take the largest entry of each column, the first of equal ones, instead of requiring one-hot.
    allow_N : bool
        Decode a column of zeros as N, in proteins as X, instead of raising.

    Returns
    -------
    str, or a list of str for several sequences

    Raises
    ------
    InputError
        If `pwm` is not one-hot, or has another number of letters than the alphabet.

    Examples
    --------
    >>> from seqlight import characters, one_hot_encode
    >>> characters(one_hot_encode("TGACTCA"))
    'TGACTCA'
    """
    X = checks.require_tensor(pwm, "pwm")
    batch = checks.require_rank_3(X.unsqueeze(0) if X.ndim == 2 else X, "pwm")
    named = alphabets.named_alphabet(alphabet)
    alphabet, unknown = (alphabet, "N") if named is None else (named.letters, named.unknown[0])
    if batch.shape[1] != len(alphabet):
        raise InputError(
            f"pwm has {batch.shape[1]} letters and the alphabet {len(alphabet)}: expected as many; pass `alphabet`."
        )
    if force:
        values = batch.to(torch.uint8) if batch.dtype == torch.bool else batch.detach()
        codes = values.argmax(dim=1).to("cpu", torch.uint8).numpy()
        if allow_N:
            codes[(batch == 0).all(dim=1).cpu().numpy()] = len(alphabet)
    else:
        codes = checks.to_codes(checks.require_one_hot(batch, "pwm", allow_unknown=allow_N))
    if allow_N and unknown in alphabet and (codes == len(alphabet)).any():
        raise InputError(
            "an unknown character would be spelled N, which is also a letter of the alphabet: "
            "find the columns of zeros first, and leave `allow_N` out."
        )
    spelled = [letters.to_string(row, alphabet, unknown) for row in codes]
    return spelled[0] if X.ndim == 2 else spelled


@overload
def reverse_complement(
    seq: str, complement_map: Mapping[str, str] = ..., allow_N: bool = ..., ohe: bool | None = ...
) -> str: ...
@overload
def reverse_complement(
    seq: Tensor, complement_map: Mapping[str, str] = ..., allow_N: bool = ..., ohe: bool | None = ...
) -> Tensor: ...
def reverse_complement(
    seq: str | Tensor,
    complement_map: Mapping[str, str] = DNA_COMPLEMENT,
    allow_N: bool = True,
    ohe: bool | None = None,
) -> str | Tensor:
    """Return the other strand, read in its own direction.

    Parameters
    ----------
    seq : str, or torch.Tensor of shape (letters, positions) or (sequences, letters, positions)
        Characters, or one-hot in the order of the keys of `complement_map`.
    complement_map : mapping of str to str
        The partner of each character.
    allow_N : bool
        Whether unknown characters (N, columns of zeros) may occur; they stay unknown.
    ohe : bool, optional
        Whether `seq` is one-hot. Its type already says so; a contradiction is an error.

    Returns
    -------
    str or torch.Tensor, as `seq`

    Raises
    ------
    InputError
        If a character has no partner, `seq` is not one-hot, or `ohe` contradicts the type.

    Examples
    --------
    >>> from seqlight import reverse_complement
    >>> reverse_complement("ATCGN")
    'NCGAT'
    """
    if ohe is not None and ohe == isinstance(seq, str):
        raise InputError(f"seq is a {type(seq).__name__} but ohe={ohe}: leave `ohe` out, the type of seq decides.")
    alphabet = list(complement_map)
    partner = _partner_indices(complement_map, alphabet)
    if isinstance(seq, str):
        codes = letters.to_codes(seq, alphabet, ("N",) if allow_N else ())
        return letters.to_string(np.append(partner, len(alphabet)).astype(np.uint8)[codes[::-1]], alphabet)
    X = checks.require_tensor(seq, "seq")
    batch = checks.require_one_hot(X.unsqueeze(0) if X.ndim == 2 else X, "seq", allow_unknown=allow_N)
    if batch.shape[1] != len(alphabet):
        raise InputError(f"seq has {batch.shape[1]} letters and complement_map {len(alphabet)}: expected as many.")
    # Row i of the result is the row whose partner is letter i.
    order = torch.from_numpy(np.argsort(partner)).to(X.device)
    return X.index_select(-2, order).flip(-1)


def random_one_hot(
    shape: tuple[int, int, int],
    probs: Any = None,
    dtype: torch.dtype | str = torch.int8,
    random_state: RandomSource = None,
) -> Tensor:
    """Draw one-hot sequences, each position independently.

    Parameters
    ----------
    shape : tuple of int
        (sequences, letters, positions).
    probs : array-like, shape (letters,) or (sequences, letters), optional
        Probability of each letter; equal if None. Passing equal ones explicitly gives different draws.
    dtype : torch.dtype or str
        The dtype of the result.
    random_state : int or numpy.random.RandomState, optional
        The seed; None for a fresh one.

    Returns
    -------
    torch.Tensor, shape as given

    Raises
    ------
    InputError
        If the shape is not three positive numbers, or the probabilities do not sum to one.

    Examples
    --------
    >>> from seqlight import characters, random_one_hot
    >>> characters(random_one_hot((1, 4, 20), random_state=0)[0])
    'ATCATTTTCTCGATGAAAGC'
    """
    if not isinstance(shape, tuple | list | torch.Size) or len(shape) != 3:
        raise InputError(f"shape is {shape!r}: expected (sequences, letters, positions).")
    rows, n_letters, span = (checks.require_count(size, "a number in shape", least=1) for size in shape)
    if n_letters > checks.MOST_LETTERS:
        raise InputError(f"shape is {tuple(shape)}, of {n_letters} letters: expected at most {checks.MOST_LETTERS}.")
    stream = random_streams.random_state(random_state)
    if probs is None:
        codes = stream.randint(0, n_letters, size=(rows, span)).astype(np.uint8)
    else:
        codes = native_loops.sample_codes(stream, cumulative_probabilities(probs, rows, n_letters), 1, span)[:, 0]
    return _from_codes(codes, n_letters, dtype)


def cumulative_probabilities(probs: Any, rows: int, n_letters: int) -> NDArray[np.float64]:
    """Return the cumulative probabilities of each row, shape (rows, letters); raise InputError if they are invalid."""
    try:
        p = checks.as_float64(probs, "probs")
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(f"probs is no array of numbers ({error}): expected one number for each letter.") from None
    if p.ndim not in (1, 2) or p.shape[-1] != n_letters or (p.ndim == 2 and len(p) not in (1, rows)):
        raise InputError(
            f"probs has shape {p.shape}: expected ({n_letters},), (1, {n_letters}) or ({rows}, {n_letters})."
        )
    valid = (p >= 0).all(axis=-1) & np.isclose(p.sum(axis=-1), 1, rtol=0, atol=1e-6)
    if not valid.all():
        bad = p.reshape(-1, n_letters)[int(np.argmin(valid))].tolist()
        raise InputError(f"probs holds {bad}: expected numbers of 0 or more that sum to one; divide by their sum.")
    steps = np.cumsum(p, axis=-1)
    return np.ascontiguousarray(np.broadcast_to(steps / steps[..., -1:], (rows, n_letters)))


def _from_codes(codes: NDArray[np.uint8], n_letters: int, dtype: torch.dtype | str) -> Tensor:
    out = torch.empty((len(codes), n_letters, codes.shape[1]), dtype=_as_dtype(dtype), device="cpu")
    native_loops.write_one_hot(np.ascontiguousarray(codes), out, 0)
    return out


def _as_list(sequences: object) -> list[str]:
    table = hasattr(sequences, "columns")  # whose names would be taken for sequences
    if table or isinstance(sequences, bytes) or not isinstance(sequences, Iterable):
        advice = "; pass the column that holds them" if table else ""
        raise InputError(f"sequence is {kind_of(sequences)}: expected a str or a list of them{advice}.")
    listed = list(sequences)
    if not listed:
        raise InputError("there is no sequence to encode: expected at least one string.")
    return listed


def _common_length(sequences: Sequence[str]) -> int:
    if len(sequences) == 1:
        return len(sequences[0])
    lengths = {len(one) for one in sequences}
    if len(lengths) > 1:
        raise InputError(
            f"the sequences have {min(lengths)} to {max(lengths)} characters: expected one length; "
            "pad them with N or encode them one by one."
        )
    return lengths.pop()


def _as_dtype(dtype: torch.dtype | str) -> torch.dtype:
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype):
        raise InputError(f"dtype is {dtype!r}: expected a torch.dtype or its name, such as 'int8'.")
    return found


def _partner_indices(complement_map: Mapping[str, str], alphabet: list[str]) -> NDArray[np.int64]:
    if sorted(complement_map.values()) != sorted(alphabet):
        raise InputError(f"complement_map is {dict(complement_map)}: expected each letter as the partner of one.")
    return np.array([alphabet.index(complement_map[letter]) for letter in alphabet])
