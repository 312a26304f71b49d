"""Fractional max pooling: max pooling with windows that are drawn at random, in evaluation mode too."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from seqlight.attribution.calls.call import Function
from seqlight.attribution.calls.function_bodies import operation
from seqlight.errors import UnsupportedOperation


def _maxima_over(n: int) -> Function:
    plain = getattr(F, f"fractional_max_pool{n}d_with_indices")

    @operation
    def maxima(x: Tensor, kernel_size: Any, output_size: Any, output_ratio: Any, samples: Tensor) -> Any:
        return plain(x, kernel_size, output_size, output_ratio, True, samples)

    return maxima


# The maxima of the windows that the last operand fixes, over so many dimensions, and where they are.
MAXIMA = {n: _maxima_over(n) for n in (2, 3)}


def fractional_max_pool(n: int, indices: bool) -> Function:
    """Return fractional max pooling over `n` dimensions; with `indices`, it always tells where its maxima are."""

    def pooled(
        input: Tensor,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = indices,
        _random_samples: Tensor | None = None,
    ) -> Any:
        if _random_samples is None:
            raise UnsupportedOperation(
                f"fractional_max_pool{n}d draws its windows anew in each call, in evaluation mode too, so sequences "
                "and references would not be comparable: pass it fixed _random_samples"
            )
        found = MAXIMA[n](input, kernel_size, output_size, output_ratio, _random_samples)
        return found if return_indices or indices else found[0]

    return pooled
