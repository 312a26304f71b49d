"""DeepLIFT and DeepLIFT/SHAP of hidden layers as classes of Captum."""

from __future__ import annotations

from typing import Any

from captum.attr import LayerAttribution
from torch import nn

from seqlight.attribution.methods.captum_arguments import as_tensors
from seqlight.attribution.methods.captum_classes import AttributionFunction, DeepLift, DeepLiftShap, Tensors
from seqlight.attribution.methods.captum_layer_comparison import LayerComparison, name_of_layer


class LayerDeepLift(DeepLift, LayerAttribution):  # type: ignore[misc]  # Captum comes without types
    """DeepLIFT of what a layer returns or is given, with the interface of ``captum.attr.LayerDeepLift``.

    At each full cut of the network the contributions sum to the output difference, whatever follows it.

    Parameters
    ----------
    model : torch.nn.Module
    layer : torch.nn.Module
        One of its modules, which it calls once.
    multiply_by_inputs
        As in :class:`seqlight.DeepLift`, for the activations of the layer.
    **settings
        The other parameters of :class:`seqlight.DeepLift`.

    Raises
    ------
    InputError
        If the layer is not in the model.

    Examples
    --------
    >>> import torch
    >>> import seqlight as sl
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)).double()
    >>> X = torch.rand(5, 3).double()
    >>> found, delta = sl.LayerDeepLift(model, model[1]).attribute(X, target=1, return_convergence_delta=True)
    >>> found.shape, bool(delta.abs().max() < 1e-12)
    (torch.Size([5, 4]), True)
    """

    def __init__(self, model: nn.Module, layer: nn.Module, multiply_by_inputs: bool = True, **settings: Any) -> None:
        super().__init__(model, multiply_by_inputs, **settings)
        name_of_layer(model, layer)
        self.layer, self.device_ids = layer, None

    def attribute(  # type: ignore[override]
        self,
        inputs: Tensors,
        baselines: Any = None,
        target: Any = None,
        additional_forward_args: Any = None,
        return_convergence_delta: bool = False,
        attribute_to_layer_input: bool = False,
        custom_attribution_func: AttributionFunction | None = None,
    ) -> Any:
        """Attribute an output to the activations of the layer.

        Parameters
        ----------
        inputs, baselines, target, additional_forward_args
            As in :meth:`seqlight.DeepLift.attribute`.
        return_convergence_delta : bool
            Return convergence deltas, too: of the contributions of the layer.
        attribute_to_layer_input : bool
            Attribute to what the layer is given, rather than to what it returns.
        custom_attribution_func : callable, optional
            As in :meth:`seqlight.DeepLift.attribute`, called for each tensor of the layer on its own.

        Returns
        -------
        torch.Tensor or tuple of torch.Tensor, in the shape of the layer's activations for `inputs`
            The mean over baselines. A tuple if the layer has several tensors. With `return_convergence_delta`, a tuple
            of it and a tensor of deltas, of shape (rows,) or (rows * baselines,).

        Raises
        ------
        InputError
            If an argument cannot be used, or the layer is called several times or not at all.
        ConvergenceError, OutOfMemory, UnsupportedOperation
            As in :meth:`seqlight.DeepLift.attribute`.
        """
        whole = self._comparison(as_tensors(inputs), target, additional_forward_args)
        comparison = LayerComparison(**vars(whole), layer=self.layer, at_input=attribute_to_layer_input)
        found = comparison.attribute(self._references(inputs, baselines), self._function(custom_attribution_func))
        comparison.size.warn_if_reduced(stacklevel=2)
        found.check.warn_if_incomplete(stacklevel=3)
        result = found.attributions if len(found.attributions) > 1 else found.attributions[0]
        return (result, found.deltas) if return_convergence_delta else result


class LayerDeepLiftShap(LayerDeepLift, DeepLiftShap):
    """DeepLIFT/SHAP of what a layer returns or is given, with the interface of ``captum.attr.LayerDeepLiftShap``.

    Parameters
    ----------
    model, layer, multiply_by_inputs, **settings
        As in :class:`LayerDeepLift`; baselines are those of :class:`seqlight.DeepLiftShap`.

    Examples
    --------
    >>> import torch
    >>> import seqlight as sl
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 2), torch.nn.ReLU(), torch.nn.Linear(2, 1))
    >>> X = sl.random_one_hot((3, 4, 20)).float()
    >>> shuffled = sl.dinucleotide_shuffle(X[:1], n=10, random_state=0)[0]
    >>> sl.LayerDeepLiftShap(model, model[2]).attribute(X, shuffled, target=0).shape
    torch.Size([3, 2])
    """

    _references = DeepLiftShap._references
