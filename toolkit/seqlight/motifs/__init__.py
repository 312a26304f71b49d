"""From attributions to motifs, by the programs of the field, where they are installed.

``modisco_run`` runs TF-MoDISco on a folder of results, and ``finemo_run`` Fi-NeMo on what it found; ``programs`` finds
and starts them. ``patterns`` reads what TF-MoDISco found, ``pattern_table`` sums it up beside known motifs, and
``motif_files`` writes both.
"""
