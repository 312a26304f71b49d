"""The engine: modes that see each call of a model, the two passes, and what they are checked by."""
