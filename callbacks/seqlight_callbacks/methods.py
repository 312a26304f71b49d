"""The attribution methods a callback can use, behind one signature: another method is one more function in a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import torch
from torch import Tensor, nn

from seqlight.attribution.explanation import Explanation
from seqlight.attribution.methods.deeplift_explanation import attribute
from seqlight.attribution.methods.gradients import input_x_gradient
from seqlight.attribution.methods.integrated_gradient import integrated_gradients
from seqlight.attribution.methods.mutagenesis import saturation_mutagenesis
from seqlight.attribution.targets import Target, Targets
from seqlight.prediction.batch_size import AskedBatchSize
from seqlight.prediction.predict import predict
from seqlight.prediction.process_settings import EAGER

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


def concatenate_results(parts: Sequence[MethodResult], order: Tensor) -> MethodResult:
    """Concatenate the results of several batches of sequences, and reorder their rows."""
    fields = zip(MethodResult._fields, zip(*parts, strict=True), strict=True)
    # A method returns a field for all sequences or for none.
    known = {name: torch.cat(tensors)[order] for name, tensors in fields if tensors[0] is not None}
    return MethodResult(**known)


def run_method(
    method: Method,
    model: nn.Module,
    X: Tensor,
    references: Tensor,
    target: Target,
    batch_size: AskedBatchSize,
    device: torch.device,
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

    Returns
    -------
    MethodResult
        On the CPU.
    """
    return _FUNCTIONS[method](model, X, references, target=target, batch_size=batch_size, device=device)


def _compare(
    explain: Callable[..., Explanation], model: nn.Module, X: Tensor, references: Tensor, **settings: Any
) -> MethodResult:
    found = explain(model, X, references=references, keep_references=False, **settings)
    assert found.reference_outputs is not None
    error = None
    if found.standard_error is not None and found.reference_outputs.shape[1] > 1:
        # It has all letters; records keep that of the letter that is present.
        error = (found.standard_error * X.cpu()).sum(dim=1)
    return MethodResult(found.attributions, found.outputs, found.hypothetical, found.reference_outputs, error)


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
