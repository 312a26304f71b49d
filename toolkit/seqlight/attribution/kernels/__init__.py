"""How a processor computes an operation and its multiplier fast."""
