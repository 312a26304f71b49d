"""Small labelled sets of sequences whose motifs are known, to try a model and its attributions on."""
