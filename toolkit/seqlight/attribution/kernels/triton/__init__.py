"""Kernels in Triton: the twins of the compiled loops for accelerators."""
