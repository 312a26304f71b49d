"""Find the spans of high attribution that drive a model."""
