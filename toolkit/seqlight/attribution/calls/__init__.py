"""What one call of PyTorch is: its arguments, what was recorded of it, and its partner in the other pass."""
