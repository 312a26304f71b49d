"""Sequences as one-hot tensors: encode, edit, shuffle."""
