"""The types of arguments that take a file, or what would be in it.

Where an argument may be a class, LightningCLI takes a path for that of a configuration file, and reads it. So at run
time the types name only paths, which are all that a YAML file can hold, and put sequences before paths, or LightningCLI
would take a list for a name.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

File = str | os.PathLike[str]

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor

    from seqlight.sequence.loci import Loci

    ArraySource = File | Tensor | NDArray[Any]
    RegionSource = File | pd.DataFrame | Loci
    RegionSources = Sequence[RegionSource] | RegionSource
else:
    ArraySource = File
    RegionSources = Sequence[File] | File
