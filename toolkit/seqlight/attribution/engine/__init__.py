"""The engine: modes that see each call of a model, the two passes, and the checks of autograd's graph."""
