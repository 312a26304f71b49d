"""Known motifs: where they come from, and which of them seqlets resemble."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from seqlight.errors import InputError
from seqlight.formats.motifs import Motifs, jaspar_motifs, nucleotide_motifs
from seqlight.seqlets.annotation import annotate_seqlets
from seqlight.sequence.one_hot import one_hot_encode

JASPAR = "jaspar"
COLUMNS = ("motif", "motif_p-value", "motif_q-value", "motif_offset", "motif_strand")


def open_motifs(source: str) -> Motifs:
    """Return known motifs.

    Parameters
    ----------
    source : str
        A file of MEME or JASPAR; or "jaspar", or "jaspar:CORE/vertebrates": a collection of JASPAR and a group of
        species.

    Raises
    ------
    InputError
        If there is no such file, collection or group.
    MissingExtra
        If pyjaspar is not installed.

    Examples
    --------
    >>> len(open_motifs("jaspar:CORE/vertebrates"))
    879
    """
    name, _, rest = source.partition(":")
    if name.lower() != JASPAR:
        return nucleotide_motifs(source)
    collection, _, group = rest.partition("/")
    if "/" in group:
        raise InputError(f"motifs is {source!r}: expected a file, jaspar, or jaspar:COLLECTION/GROUP.")
    filters = {"tax_group": group} if group else {}
    return jaspar_motifs(collection=collection or "CORE", **filters)


def annotate_texts(texts: list[str], known: Motifs) -> dict[str, Any]:
    """Return the most similar motif of each piece of sequence, as columns; each text is compared once.

    Parameters
    ----------
    texts : list of str
        Characters A, C, G, T and N. One that has none but N, or is empty, has no motif (NaN).
    known : dict of str to numpy.ndarray

    Returns
    -------
    dict
        The columns motif, motif_p-value, motif_q-value, motif_offset and motif_strand of ``annotate_seqlets``.
    """
    distinct = sorted({text for text in texts if text.strip("N")})
    longest = max(map(len, distinct), default=1)
    X = one_hot_encode([text.ljust(longest, "N") for text in distinct] or ["N"])
    spans = pd.DataFrame({"example_idx": np.arange(len(distinct)), "start": 0, "end": [len(one) for one in distinct]})
    named = annotate_seqlets(X, spans, known).set_index(pd.Index(distinct))
    found = named[list(COLUMNS)].reindex(texts)
    # Whole numbers with missing ones among them.
    found["motif_offset"] = found["motif_offset"].astype("Int64")
    return {name: found[name].array for name in COLUMNS}
