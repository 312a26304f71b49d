import sys
from pathlib import Path

# The catalogue beside the tests is a module for them and for the script of two processes.
sys.path.insert(0, str(Path(__file__).parent))
