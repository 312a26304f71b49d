"""Plots: logos of attributions, with seqlets and predictions."""
