"""Settings for all tests."""

from hypothesis import settings

# The first call of a kind may load or compile something, so no deadline; the same examples in each run.
settings.register_profile("seqlight", deadline=None, derandomize=True)
settings.load_profile("seqlight")
