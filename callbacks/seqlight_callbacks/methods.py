"""The attribution methods a callback can use, behind one signature: another method is one more function in a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, get_args

import torch
from torch import Tensor, nn

from seqlight.attribution.explanation import Explanation
from seqlight.attribution.methods.deeplift_explanation import attribute
from seqlight.attribution.methods.gradients import input_x_gradient
from seqlight.attribution.methods.integrated_gradient import integrated_gradients
from seqlight.attribution.methods.mutagenesis import saturation_mutagenesis
from seqlight.attribution.targets import Targets
from seqlight.prediction.batch_size import AskedBatchSize
from seqlight.prediction.predict import predict
from seqlight.prediction.process_settings import EAGER
from seqlight.targets.contrast import Target

if TYPE_CHECKING:
    import pandas as pd

# Every method has an entry in _FUNCTIONS below.
Method: TypeAlias = Literal["deep_lift_shap", "integrated_gradients", "input_x_gradient", "ism"]
METHODS: tuple[str, ...] = get_args(Method)
# These compare sequences with references, and so have a convergence delta and a standard error.
WITH_REFERENCES = ("deep_lift_shap", "integrated_gradients")


class MethodResult(NamedTuple):
    """What a method returns, with the fields of an AttributionRecord."""

    attributions: Tensor
    outputs: Tensor
    hypothetical: Tensor
    reference_outputs: Tensor | None = None
    standard_error: Tensor | None = None
    layer_totals: Tensor | None = None
    layer_names: tuple[str, ...] | None = None


def make_ledger(result: MethodResult) -> pd.DataFrame | None:
    """Return the ledger of a result, if it has what each layer contributes."""
    if result.layer_totals is None or result.layer_names is None or result.reference_outputs is None:
        return None
    # Here, since pandas takes a while to load.
    from seqlight.attribution.layer_ledger import ledger_table

    differences = result.outputs.unsqueeze(-1) - result.reference_outputs
    return ledger_table(result.layer_totals, differences, result.layer_names)


def concatenate_results(parts: Sequence[MethodResult], order: Tensor) -> MethodResult:
    """Concatenate the results of several batches of sequences, and reorder their rows."""
    fields = zip(MethodResult._fields[:-1], zip(*(one[:-1] for one in parts), strict=True), strict=True)
    # A method returns a field for all sequences or for none.
    known = {name: torch.cat(tensors)[order] for name, tensors in fields if tensors[0] is not None}
    return MethodResult(**known, layer_names=parts[0].layer_names)


def run_method(
    method: Method,
    model: nn.Module,
    X: Tensor,
    references: Tensor,
    target: Target,
    batch_size: AskedBatchSize,
    device: torch.device,
    layers: bool = False,
) -> MethodResult:
    """Attribute one target of a model to sequences.

    Parameters
    ----------
    method : str
        One of ``METHODS``.
    model : torch.nn.Module
        Called as ``model(X)``; left as it was.
    X : torch.Tensor, shape (sequences, letters, positions)
        One-hot.
    references : torch.Tensor, shape (sequences, references, letters, positions)
        Ignored by a method without references.
    target : any single target of :func:`seqlight.attribute`
    batch_size : int or "auto"
        Rows at a time, whatever a row is to the method.
    device : torch.device
        Where to run.
    layers : bool
        Whether to keep what each layer contributes; of "deep_lift_shap" alone.

    Returns
    -------
    MethodResult
        On the CPU.
    """
    more = {"layers": True} if layers else {}
    return _FUNCTIONS[method](model, X, references, target=target, batch_size=batch_size, device=device, **more)


def _compare(
    explain: Callable[..., Explanation], model: nn.Module, X: Tensor, references: Tensor, **settings: Any
) -> MethodResult:
    found = explain(model, X, references=references, keep_references=False, **settings)
    assert found.reference_outputs is not None
    error = None
    if found.standard_error is not None and found.reference_outputs.shape[1] > 1:
        # It has all letters; records keep that of the letter that is present.
        error = (found.standard_error * X.cpu()).sum(dim=1)
    layers = found.layer_totals, found.layer_names
    return MethodResult(found.attributions, found.outputs, found.hypothetical, found.reference_outputs, error, *layers)


def _input_x_gradient(model: nn.Module, X: Tensor, references: Tensor, **settings: Any) -> MethodResult:
    found = input_x_gradient(model, X, **settings)
    return MethodResult(found.attributions, found.outputs, found.hypothetical)


def _mutagenesis(
    model: nn.Module, X: Tensor, references: Tensor, target: Target, batch_size: AskedBatchSize, device: torch.device
) -> MethodResult:
    # A compiled model would be recompiled for these batch sizes, and the training would go on with other kernels,
    # whose results differ in the last bits.
    with EAGER.apply():
        hypothetical = saturation_mutagenesis(
            model, X, target=target, hypothetical=True, batch_size=batch_size, device=device
        )
        outputs = predict(model, X, batch_size=batch_size, device=device)
    assert isinstance(hypothetical, Tensor)
    read = Targets(target, len(X)).read(outputs, torch.arange(len(X))).squeeze(1)
    return MethodResult(hypothetical * X.cpu(), read, hypothetical)


_FUNCTIONS: dict[Method, Callable[..., MethodResult]] = {
    "deep_lift_shap": partial(_compare, attribute),
    "integrated_gradients": partial(_compare, integrated_gradients),
    "input_x_gradient": _input_x_gradient,
    "ism": _mutagenesis,
}
