"""One call of PyTorch: its arguments, what is recorded of it, and its partner in the other pass."""
