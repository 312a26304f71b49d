"""Write motifs in MEME format."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from seqlight.errors import InputError, kind_of
from seqlight.files.atomic import atomic_write
from seqlight.files.paths import file_to_write
from seqlight.formats.motifs import Motifs, as_motifs
from seqlight.sequence.checks import require_count

HEAD = """MEME version 4

ALPHABET= ACGT

strands: + -

Background letter frequencies
A 0.25 C 0.25 G 0.25 T 0.25
"""


def write_meme(path: str | os.PathLike[str], motifs: Mapping[str, Any], n_sites: int = 20) -> None:
    """Write motifs in MEME format.

    Parameters
    ----------
    path : str or path
        The file to write.
    motifs : mapping of str to array of shape (4, positions)
        Frequencies by name, each position summing to one. The mean of seqlets is a motif:
        ``cut_seqlets(X, seqlets).one_hot.double().mean(dim=0)``.
    n_sites : int
        How many sequences each motif stands for. MEME's programs weigh their pseudocounts against it, and
        assume 20 if a file does not say; Biopython reads counts rounded to whole sequences.

    Raises
    ------
    InputError
        If a motif does not have four letters, a position does not sum to one, or a name cannot be written.

    Notes
    -----
    The writer of memelite says ``nsites= 1``, from which Biopython reads zeros.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from seqlight import one_hot_encode
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_meme(Path(folder) / "motifs.meme", {"GATA": one_hot_encode("GATA")})
    ...     print(*(Path(folder) / "motifs.meme").read_text().splitlines()[9:12], sep="; ")
    MOTIF GATA; letter-probability matrix: alength= 4 w= 4 nsites= 20 E= 0; 0.0 0.0 1.0 0.0
    """
    n_sites = require_count(n_sites, "n_sites", least=1)
    checked = _checked(motifs)
    with atomic_write(file_to_write(path)) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        file.write(HEAD)
        for name, motif in checked.items():
            file.write(f"\nMOTIF {name}\n")
            file.write(f"letter-probability matrix: alength= 4 w= {motif.shape[1]} nsites= {n_sites} E= 0\n")
            file.writelines(f"{' '.join(map(repr, column))}\n" for column in motif.T.tolist())


def _checked(motifs: Mapping[str, Any]) -> Motifs:
    if not isinstance(motifs, Mapping):
        raise InputError(f"motifs is {kind_of(motifs)}: expected frequencies by name, {{'name': motif}}.")
    # Counts are an error: the number of sequences is given by `n_sites`.
    checked = as_motifs(motifs, counts=False)
    for name, motif in checked.items():
        if len(motif) != 4:
            raise InputError(f"motif {name!r} has {len(motif)} letters: expected four, A, C, G and T.")
        if not _is_name(name):
            raise InputError(
                f"the name {name!r} would not be read back: use single spaces only, and what can be printed."
            )
    return checked


def _is_name(name: str) -> bool:
    """Return whether a motif's name can be read back unchanged."""
    words = name.split()
    # MEME itself writes "width = 8 sites = 12" behind a name.
    return name.isprintable() and " ".join(words) == name != "" and not {"width", "sites"} <= set(words)
