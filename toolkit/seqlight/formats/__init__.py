"""File formats of the field: ``<format>_reader`` reads one, and ``<format>_writer`` beside it writes it.

FASTA
    ``fasta_reader`` reads small files whole. ``genome`` cuts windows out of large ones: ``fasta_index`` finds where
    each sequence lies, ``fai`` keeps that beside the file as samtools does, ``fasta_windows`` is the compiled loop.
BED and narrowPeak
    ``bed_reader`` (another dialect: its `FORMATS` and `BedLines`), ``bed_columns`` (how a narrowPeak is told),
    ``bed_writer`` (another column: its `write_bed`).
bigWig
    ``bigwig_reader``, and ``bigwig_header``, which refuses files that pyBigWig would crash on. ``bigwig_writer`` merges
    windows (``merged_windows``) into a ``bigwig_file``, which is written a piece of a chromosome at a time
    (``bigwig_pieces``), with its trees (``bigwig_trees``).
Motifs
    ``meme_reader`` and ``meme_matrix`` for MEME files, ``jaspar_reader`` for JASPAR's own; ``motifs`` takes either,
    the package of JASPAR, and whatever else holds motifs.
Arrays
    ``npz`` maps npy and npz files; ``modisco_writer`` writes the two that TF-MoDISco reads.

A new format is a new file here. Read text with :func:`seqlight.files.text.read_text`, write with
:func:`seqlight.files.atomic.atomic_write`, raise :class:`~seqlight.errors.InputError` with the file's name and the
number of the line, and add the public name to ``seqlight/__init__.py``.
"""
