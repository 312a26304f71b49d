"""Compiled loops: plain C behind ctypes, for what neither PyTorch nor NumPy does in one pass."""
