"""From the attributions of a run to seqlets and motifs, also by the programs of the field where they are installed.

``seqlet_calls`` calls seqlets in a folder of results, ``seqlet_columns`` adds their places and sequences,
``known_motifs`` compares them with known motifs, ``known_counts`` counts these, and ``seqlet_files`` writes tables.

``modisco_run`` runs TF-MoDISco on the same folder, and ``finemo_run`` Fi-NeMo on what it found; ``programs`` finds
and starts them. ``patterns`` reads what TF-MoDISco found, ``pattern_table`` sums it up beside known motifs, and
``motif_files`` writes both.
"""
