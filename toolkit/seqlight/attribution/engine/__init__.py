"""Take a model through sequences and references, meeting each of its calls."""
