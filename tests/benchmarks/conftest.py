import sys
from pathlib import Path

# The studies are scripts, imported by the tests of their pages.
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
