"""Seqlets: the spans of high attribution that drive a model.

``recursive`` and ``modisco`` call them; ``seqlet_table`` has the input and the output that both callers share. The
other files take any table of seqlets: ``annotation`` names their motifs (by ``tomtom``), ``cuts`` cuts them out of
sequences (after ``window_placement``), and ``genome_coordinates`` adds their coordinates in a genome.
"""
