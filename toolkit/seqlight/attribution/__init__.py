"""Explain predictions: which positions of a sequence made the output what it is.

One principle gives every rule: *a multiplier is the mean Jacobian on the straight line
from reference to input.* The engine applies the rules to operations, as PyTorch calls
them, and not to modules, so a model is explained as it is written.
"""
