"""Settings for all tests."""

import os

# Before PyTorch is imported: OpenMP threads that spin while they wait slow down whatever else runs.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from hypothesis import settings

# The first call of a kind may load or compile something, so no deadline; the same examples in each run.
settings.register_profile("seqlight", deadline=None, derandomize=True)
settings.load_profile("seqlight")
