"""The audit of a model: how each of its operations is explained, and where completeness is lost."""
