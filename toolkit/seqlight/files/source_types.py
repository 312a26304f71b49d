"""What may be given in place of a file.

LightningCLI takes a path for that of a configuration, and reads the file, wherever a class may stand in its place. So
it is told of paths alone, which are all that a YAML file can hold; and of sequences before paths, or it would take a
list for a name.
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
