"""What one call of PyTorch is: recorded, opened, paired with its partner, and given memory."""
