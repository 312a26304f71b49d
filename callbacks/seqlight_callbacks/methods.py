"""The attribution methods that a callback can use, alike in what they take and give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import torch
from torch import Tensor, nn

from seqlight.attribution.explanation import Explanation
from seqlight.attribution.methods.attribution import attribute
from seqlight.attribution.methods.gradients import input_x_gradient
from seqlight.attribution.methods.integrated_gradient import integrated_gradients
from seqlight.attribution.methods.mutagenesis import saturation_mutagenesis
from seqlight.attribution.targets import Target, Targets
from seqlight.prediction.predict import predict
from seqlight.prediction.process_settings import EAGER

Method: TypeAlias = Literal["deep_lift_shap", "integrated_gradients", "input_x_gradient", "ism"]
METHODS: tuple[str, ...] = get_args(Method)
# Those that compare a sequence with others, and so have a sum to meet and an error to tell.
COMPARING = ("deep_lift_shap", "integrated_gradients")


class Found(NamedTuple):
    """What a method gave, with the fields of an AttributionRecord."""

    attributions: Tensor
    outputs: Tensor
    reference_outputs: Tensor | None = None
    standard_error: Tensor | None = None


def joined(parts: Sequence[Found], order: Tensor) -> Found:
    """Return one result of several, its rows in another order."""
    attributions, outputs, *rest = zip(*parts, strict=True)
    # A method gives a field for all sequences or for none.
    known = [None if tensors[0] is None else torch.cat(tensors)[order] for tensors in rest]
    return Found(torch.cat(attributions)[order], torch.cat(outputs)[order], *known)


def explain(
    method: Method,
    model: nn.Module,
    X: Tensor,
    references: Tensor,
    target: Target,
    batch_size: int,
    device: torch.device,
) -> Found:
    """Attribute one target of `model` to sequences.

    Parameters
    ----------
    method : str
        One of ``METHODS``.
    model : torch.nn.Module
        Called as ``model(X)``; given back as it was.
    X : torch.Tensor, shape (sequences, letters, positions)
        One-hot.
    references : torch.Tensor, shape (sequences, references, letters, positions)
        Not used by a method that has none.
    target : any single target of :func:`seqlight.attribute`
    batch_size : int
        Rows at a time, whatever a row is to the method.
    device : torch.device
        Where to run.

    Returns
    -------
    Found
        On the CPU.
    """
    each: dict[str, Any] = {"target": target, "batch_size": batch_size, "device": device}
    if method == "ism":
        return _mutagenesis(model, X, **each)
    if method == "input_x_gradient":
        found = input_x_gradient(model, X, **each)
        return Found(found.attributions, found.outputs)
    compare = attribute if method == "deep_lift_shap" else integrated_gradients
    return _compared(compare(model, X, references=references, keep_references=False, **each), X)


def _compared(found: Explanation, X: Tensor) -> Found:
    assert found.reference_outputs is not None
    error = None
    if found.standard_error is not None and found.reference_outputs.shape[1] > 1:
        # It is of every letter; wanted is that of the one which is there.
        error = (found.standard_error * X.cpu()).sum(dim=1)
    return Found(found.attributions, found.outputs, found.reference_outputs, error)


def _mutagenesis(model: nn.Module, X: Tensor, target: Target, batch_size: int, device: torch.device) -> Found:
    # A compiled model would be compiled anew for these batches, and go on training by other kernels: not the same bits.
    with EAGER.apply():
        attributions = saturation_mutagenesis(model, X, target=target, batch_size=batch_size, device=device)
        outputs = predict(model, X, batch_size=batch_size, device=device)
    assert isinstance(attributions, Tensor)
    return Found(attributions, Targets(target, len(X)).read(outputs, torch.arange(len(X))).squeeze(1))
