"""Run any model over many sequences, and give it back as it was."""
