"""DeepLIFT and DeepLIFT/SHAP of hidden neurons as classes of Captum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from captum.attr import NeuronAttribution
from torch import Tensor, nn

from seqlight.attribution.engine.module_hooks import watch_modules
from seqlight.attribution.methods.captum_classes import AttributionFunction, DeepLift, DeepLiftShap, Tensors
from seqlight.attribution.methods.captum_layer_comparison import name_of_layer
from seqlight.errors import InputError, kind_of

# One neuron by its index or indices, a sum of several with slices, or a function of what the layer returns.
NeuronSelector = int | tuple[int | slice, ...] | Callable[[Any], Tensor]


class NeuronDeepLift(NeuronAttribution):  # type: ignore[misc]  # Captum comes without types
    """DeepLIFT of one neuron of a hidden layer, with the interface of ``captum.attr.NeuronDeepLift``.

    What makes it fire: the contributions of the inputs sum to the difference of the neuron's activation.

    Parameters
    ----------
    model : torch.nn.Module
    layer : torch.nn.Module
        One of its modules; if it is called several times, the last call counts.
    multiply_by_inputs, **settings
        As in :class:`seqlight.DeepLift`.

    Raises
    ------
    InputError
        If the layer is not in the model.

    Examples
    --------
    >>> import torch
    >>> import seqlight as sl
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    >>> sl.NeuronDeepLift(model, model[1]).attribute(torch.rand(5, 3), neuron_selector=2).shape
    torch.Size([5, 3])
    """

    _explains_with: type[DeepLift] = DeepLift

    def __init__(self, model: nn.Module, layer: nn.Module, multiply_by_inputs: bool = True, **settings: Any) -> None:
        name_of_layer(model, layer)
        self.forward_func, self.layer, self.device_ids = model, layer, None
        self._settings = {"multiply_by_inputs": multiply_by_inputs, **settings}

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether contributions are returned, rather than multipliers."""
        return bool(self._settings["multiply_by_inputs"])

    def attribute(
        self,
        inputs: Tensors,
        neuron_selector: NeuronSelector,
        baselines: Any = None,
        additional_forward_args: Any = None,
        attribute_to_neuron_input: bool = False,
        custom_attribution_func: AttributionFunction | None = None,
    ) -> Any:
        """Attribute a neuron to the numbers of each input.

        Parameters
        ----------
        inputs, baselines, additional_forward_args, custom_attribution_func
            As in :meth:`seqlight.DeepLift.attribute`.
        neuron_selector : int, tuple of int or slice, or callable
            Which of the layer's activations of each row: an index, indices, or with slices the sum of several. A
            function takes what the layer returns, and returns a number for each row.
        attribute_to_neuron_input : bool
            Explain what the layer is given there, rather than what it returns.

        Returns
        -------
        torch.Tensor or tuple of torch.Tensor, as `inputs`
            The mean over baselines.

        Raises
        ------
        InputError
            If an argument cannot be used, or the layer is not called.
        ConvergenceError, OutOfMemory, UnsupportedOperation
            As in :meth:`seqlight.DeepLift.attribute`.
        """
        head = _Neuron(self.forward_func, self.layer, neuron_selector, attribute_to_neuron_input)
        return self._explains_with(head, **self._settings).attribute(
            inputs, baselines, None, additional_forward_args, custom_attribution_func=custom_attribution_func
        )


class NeuronDeepLiftShap(NeuronDeepLift):
    """DeepLIFT/SHAP of one neuron of a hidden layer, with the interface of ``captum.attr.NeuronDeepLiftShap``.

    Parameters
    ----------
    model, layer, multiply_by_inputs, **settings
        As in :class:`NeuronDeepLift`; baselines are those of :class:`seqlight.DeepLiftShap`.

    Examples
    --------
    >>> import torch
    >>> import seqlight as sl
    >>> model = torch.nn.Sequential(torch.nn.Conv1d(4, 8, 5), torch.nn.ReLU(), torch.nn.AdaptiveMaxPool1d(1))
    >>> X = sl.random_one_hot((3, 4, 20)).float()
    >>> shuffled = sl.dinucleotide_shuffle(X[:1], n=10, random_state=0)[0]
    >>> sl.NeuronDeepLiftShap(model, model[1]).attribute(X, (3, slice(None)), shuffled).shape
    torch.Size([3, 4, 20])
    """

    _explains_with = DeepLiftShap


class _Neuron(nn.Module):
    """A model that returns a neuron of one of its layers, (rows,)."""

    def __init__(self, model: nn.Module, layer: nn.Module, selector: NeuronSelector, at_input: bool) -> None:
        super().__init__()
        self.model = model
        self.training = model.training  # train() would change the modes of its modules
        self.__dict__["found"] = layer, selector, at_input

    def forward(self, *inputs: Any) -> Tensor:
        """Return the neuron's activation for each row."""
        layer, selector, at_input = self.__dict__["found"]
        met: list[Any] = []

        def keep(module: nn.Module, given: Any, returned: Any = None) -> None:
            if module is layer:
                some = (given[0] if len(given) == 1 else given) if at_input else returned
                met.append(torch.utils._pytree.tree_map_only(Tensor, torch.clone, some))

        with watch_modules(keep, before=at_input):
            self.model(*inputs)
        if not met:
            raise InputError(f"layer ({type(layer).__name__}) is not called: expected a module that the model uses.")
        return _select(met[-1], selector)


def _select(activations: Any, selector: NeuronSelector) -> Tensor:
    """Return the neuron of each row."""
    if callable(selector):
        found = selector(activations)
        return found.flatten() if isinstance(found, Tensor) and found.ndim == 2 and found.shape[1] == 1 else found
    if not isinstance(activations, Tensor):
        raise InputError(
            f"the layer has {kind_of(activations)} of tensors: expected a single one; pass a function as "
            "neuron_selector, such as lambda returned: returned[0][:, 3]."
        )
    where = selector if isinstance(selector, tuple) else (selector,)
    if not all(isinstance(one, int | slice) for one in where) or len(where) != activations.ndim - 1:
        raise InputError(
            f"neuron_selector is {selector!r} for activations of shape {tuple(activations.shape)}: expected "
            f"{activations.ndim - 1} indices or slices, one for each dimension but that of rows."
        )
    try:
        chosen: Tensor = activations[(slice(None), *where)]
    except IndexError as error:
        raise InputError(
            f"neuron_selector is {selector!r} for activations of shape {tuple(activations.shape)}: expected an "
            "index that is there."
        ) from error
    return chosen.flatten(1).sum(1) if chosen.ndim > 1 else chosen
