"""Whether attribution maps pick out the same words: the k-mers under high attribution against all k-mers."""

from __future__ import annotations

import torch
from torch import Tensor

from seqlight.errors import InputError
from seqlight.metrics.attribution_tracks import divide_by_largest, require_attributions
from seqlight.metrics.consistency import relative_entropy, require_share
from seqlight.metrics.ratios import NAN, Tally, to_sum_dtype
from seqlight.sequence.checks import require_count, require_one_hot

# Positions after each high one that belong to its stretch; in the released code.
_AFTER = 2
_MOST_KMERS = 1 << 24


def kmer_consistency(attributions: Tensor, X: Tensor, k: int = 3, share: float = 0.1) -> Tensor:
    r"""Return how consistent attribution maps are as a whole: how far the k-mers that they pick out are special.

    A network that has learned a motif attributes its words, and not others; noise picks out any. Of Majdandzic et al.
    (2022), this is the first measure: the Kullback-Leibler divergence :math:`\sum_w p_w \log(p_w / q_w)` of the
    k-mers in stretches of high attribution, p, from all k-mers of the sequences, q. In each sequence, positions are
    high whose vector over letters, after subtraction of its mean over letters, is longer than the quantile
    ``1 - share``; a stretch is a run of high positions and the two positions after it, joined where they overlap.

    Parameters
    ----------
    attributions : torch.Tensor, shape (sequences, letters, positions) or (sequences, positions)
        Hypothetical attributions, as in the paper, or those of the observed characters.
    X : torch.Tensor, shape (sequences, letters, positions)
        The sequences, one-hot. Words with an unknown character do not count.
    k : int
        The length of words. The authors' code has 3 as its default and 6 in their analysis of open chromatin; with
        6 there are 4,096 words, to which a few hundred sequences are few.
    share : float
        The share of positions of each sequence that are high.

    Returns
    -------
    torch.Tensor, float64, shape ()
        In nats, 0 and up, the higher the more consistent. NaN if an attribution is NaN or infinite, or if there is
        no word in a stretch.

    Raises
    ------
    InputError
        If the shapes do not fit, `X` is not one-hot, or there is no such `k` or `share`.

    Notes
    -----
    Words that occur by chance raise the result by about half the number of words over the number of words in
    stretches: compare models on the same sequences. A model that has learned an artefact is consistent, too.

    From the paper and the code that its authors released (github.com/crajesh6/acme): all of the above, and that two
    stretches that only touch are not joined. Ours: sequences without any high position are passed over, where that
    code takes words from the wrong sequences; no rounding to three digits.

    References
    ----------
    Majdandzic, A. et al. (2022), Selecting deep neural networks that yield consistent attribution-based
    interpretations for genomics, Proceedings of Machine Learning Research 200:131-149.

    Examples
    --------
    >>> import seqlight as sl
    >>> from seqlight.metrics import kmer_consistency
    >>> X = sl.random_one_hot((50, 4, 60), random_state=0)
    >>> X[:, :, 20:26] = sl.one_hot_encode("TGACTC").to(X.dtype)
    >>> track = torch.zeros(50, 60)
    >>> track[:, 20:26] = 1
    >>> bool(kmer_consistency(track, X) > 10 * kmer_consistency(track.roll(20, dims=1), X))
    True
    """
    selected, every = kmer_tally(attributions, X, k, share)
    return kmer_divergence(selected.sum(dim=0), every.sum(dim=0))


def kmer_tally(attributions: Tensor, X: Tensor, k: int, share: float) -> Tally:
    """Return how often each k-mer is in a stretch of high attribution, and how often at all: one row for the batch."""
    found, sequences = require_attributions(attributions), require_one_hot(X)
    n, letters, length = sequences.shape
    if (found.shape[0], found.shape[-1]) != (n, length):
        raise InputError(
            f"attributions has shape {tuple(found.shape)} and X {tuple(sequences.shape)}: "
            "expected the same sequences in both."
        )
    if not 1 <= require_count(k, "k", least=1) <= length:
        raise InputError(f"k is {k}: expected at most the {length} positions that there are.")
    n_kmers = count_kmers(letters, k)
    sequences = sequences.to(found.device)
    windows = sequences.to(torch.uint8).argmax(dim=1).unfold(1, k, 1)
    kmers = (windows * letters ** torch.arange(k - 1, -1, -1, device=windows.device)).sum(dim=2)
    known = (sequences != 0).any(dim=1).unfold(1, k, 1).all(dim=2)
    lengths = _vector_lengths(found)
    inside = _in_stretches(lengths, require_share(share), k)
    counts = [torch.bincount(kmers[which], minlength=n_kmers) for which in (known & inside, known)]
    selected, every = (to_sum_dtype(one).unsqueeze(0) for one in counts)
    # NaN in, NaN out.
    return Tally(torch.where(lengths.isfinite().all(), selected, NAN), every)


def kmer_divergence(selected: Tensor, every: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence of two counts of words; NaN if none is selected."""
    return relative_entropy(selected / selected.sum(), every / every.sum())


def count_kmers(letters: int, k: int) -> int:
    """Return the number of words of `k` letters; raise InputError if a table of them would be too large."""
    if letters**k > _MOST_KMERS:
        raise InputError(f"k is {k}: there are {letters}^{k} words of {letters} letters, expected a smaller k.")
    return int(letters**k)


def _vector_lengths(attributions: Tensor) -> Tensor:
    """Return how long the vector of each position is, without its mean over letters, as a share of the largest."""
    values = to_sum_dtype(attributions)
    shape = values.shape
    values = divide_by_largest(values.flatten(1)).view(shape)
    return values.abs() if values.ndim == 2 else (values - values.mean(dim=1, keepdim=True)).norm(dim=1)


def _in_stretches(lengths: Tensor, share: float, k: int) -> Tensor:
    """Return for each window of `k` positions whether all of it is in one stretch: (sequences, windows)."""
    high = lengths > _quantile(lengths, 1 - share)
    behind = [_shift(high, i) for i in range(_AFTER + 2)]
    covered = torch.stack(behind[:-1]).any(dim=0)
    # Where a stretch begins at the position after the end of another: they only touch.
    begins = high & behind[-1] & ~torch.stack(behind[1:-1]).any(dim=0)
    return covered.unfold(1, k, 1).all(dim=2) & ~begins.unfold(1, k, 1)[:, :, 1:].any(dim=2)


def _shift(rows: Tensor, places: int) -> Tensor:
    """Move each row to the right by some places, with False to its left."""
    return torch.nn.functional.pad(rows, (places, 0), value=False)[:, : rows.shape[1]]


def _quantile(rows: Tensor, q: float) -> Tensor:
    """Return the quantile of each row, interpolated linearly as NumPy does: (rows, 1)."""
    ordered = rows.sort(dim=1).values
    place = q * (rows.shape[1] - 1)
    low = int(place)
    high = min(low + 1, rows.shape[1] - 1)
    return torch.lerp(ordered[:, low : low + 1], ordered[:, high : high + 1], place - low)
