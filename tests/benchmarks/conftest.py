import sys
from pathlib import Path

# The studies are scripts; their pages are made again from what they stored.
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
