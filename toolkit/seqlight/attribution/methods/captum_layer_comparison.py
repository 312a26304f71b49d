"""Compare what a layer returns for the rows of any inputs with what it returns for their baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seqlight.attribution.contributions import Block, Pairs, result_dtype
from seqlight.attribution.convergence import ConvergenceCheck
from seqlight.attribution.engine.layer_taps import LayerTaps
from seqlight.attribution.layer_explainer import LayerExplainer
from seqlight.attribution.methods.captum_comparison import AttributionFunction, Comparison, ComparisonResult, in_float32
from seqlight.attribution.targets import Targets
from seqlight.errors import InputError, kind_of
from seqlight.prediction.float32_precision import hold_precision


@dataclass(frozen=True)
class LayerComparison(Comparison):
    """A model, one of its layers, and its inputs, to be compared with baselines.

    Parameters
    ----------
    layer : torch.nn.Module
        A module of the model.
    at_input : bool
        Whether to attribute to what the layer is given, rather than to what it returns.
    """

    layer: nn.Module | None = None
    at_input: bool = False

    def _explain(
        self, baselines: Sequence[Tensor], function: AttributionFunction, dtype: torch.dtype | None
    ) -> ComparisonResult:
        """Explain all rows, in `dtype` or in the model's own; attributions are those of each tensor of the layer."""
        assert self.layer is not None

        def attribute(m: Tensor, x: Tensor, r: Tensor) -> Tensor:
            return function((m,), (x,), (r,))[0]

        taps = LayerTaps(
            {name_of_layer(self.model, self.layer): self.layer}, attribution=attribute, inputs=self.at_input
        )
        targets = Targets(self.target, len(self.inputs[0]))
        explainer = LayerExplainer(self.model, self.inputs, self.args, targets, self.size, taps)
        check, n = ConvergenceCheck(self.threshold, self.policy), baselines[0].shape[1]
        parts: list[list[Tensor]] = []
        deltas: list[Tensor] = []
        pairs = (Pairs(i, j, [one[i:j] for one in baselines]) for i, j in explainer.batches(n))
        with hold_precision(self.precision, explainer.device), explainer.borrow_model(dtype, self.overrides):
            for found in explainer.explain(pairs, _nothing):
                if any("#" in name for name in taps.names):
                    raise InputError(
                        f"layer ({type(self.layer).__name__}) is called {len(taps.names)} times: expected one call; "
                        "seqlight.attribute(..., layers=[...]) tells its calls apart."
                    )
                block = found.block
                check.add(in_float32(block) if dtype == torch.float64 else block)
                *sums, totals = block.layers
                parts.append([(one[:, 0] / n).to(result_dtype(block.deltas)) for one in sums])
                deltas.append((totals[:, 0].sum(-1) - block.differences[:, 0]).flatten())
        device = self.inputs[0].device
        whole = (torch.cat(some) for some in zip(*parts, strict=True))
        restored = (layout.restore(one) for layout, one in zip(taps.layouts_of_names(), whole, strict=True))
        return ComparisonResult(tuple(one.to(device) for one in restored), torch.cat(deltas).to(device), check)


def _nothing(block: Block) -> tuple[Tensor, ...]:
    return ()


def name_of_layer(model: nn.Module, layer: object) -> str:
    """Return the name of a module of a model; InputError if it is none."""
    for name, module in model.named_modules():
        if module is layer:
            return name or "the model"
    advice = f"; use model.get_submodule({layer!r})" if isinstance(layer, str) else ""
    raise InputError(f"layer is {kind_of(layer)} that is not in the model: expected one of its modules{advice}.")
