"""DeepLIFT and DeepLIFT/SHAP as attributions of Captum, so that one import line switches implementation."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

from captum.attr import GradientAttribution
from torch import Tensor, nn

from seqlight.attribution.contributions import Policy
from seqlight.attribution.methods.captum_arguments import (
    called,
    contributed,
    custom_result,
    many_baselines_each,
    one_baseline_each,
    target_of,
    tensors_of,
)
from seqlight.attribution.methods.captum_comparison import Comparison
from seqlight.prediction.arguments import require_module
from seqlight.sequence.checks import require_count

Tensors = Tensor | tuple[Tensor, ...]
Custom = Callable[..., tuple[Tensor, ...]]
P = ParamSpec("P")
R = TypeVar("R")


def _wrapped(attribute: Callable[P, R]) -> Callable[P, R]:
    """Return a method that has what Captum's wrappers of attributions call: ``attribute.__wrapped__``."""

    @functools.wraps(attribute)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        return attribute(*args, **kwargs)

    return wrapper


class DeepLift(GradientAttribution):  # type: ignore[misc]  # Captum comes without types
    """DeepLIFT of any inputs against one baseline each, as ``captum.attr.DeepLift`` is called.

    It explains what :func:`seqlight.deep_lift_shap` explains, in the same way, and gives the model back as it was. It
    is a ``captum.attr.Attribution``, which ``captum.attr.NoiseTunnel`` takes.

    Parameters
    ----------
    model : torch.nn.Module
        Called as ``model(*inputs, *additional_forward_args)``.
    multiply_by_inputs : bool
        Return contributions, multipliers times the difference of input and baseline; else multipliers.
    eps : float
        Taken for calls that are written for Captum. Where a secant is rounding noise depends on the dtype here.
    batch_size : int
        Pairs of an input and a baseline at a time. It does not change the result.
    deltas : "warn", "raise" or "ignore"
        What to do where contributions do not sum to the output difference. A model in float32 is first tried again in
        float64, unless it is to ignore them.
    warning_threshold : float
        By how much they may miss it.
    additional_nonlinear_ops : mapping, optional
        As in :func:`seqlight.deep_lift_shap`.

    Examples
    --------
    >>> import torch
    >>> from seqlight import DeepLift
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU())
    >>> attributions, delta = DeepLift(model).attribute(torch.rand(5, 3), target=1, return_convergence_delta=True)
    >>> attributions.shape, delta.shape
    (torch.Size([5, 3]), torch.Size([5]))

    >>> from captum.attr import NoiseTunnel
    >>> NoiseTunnel(DeepLift(model)).attribute(torch.rand(5, 3), nt_samples=4, stdevs=0.1, target=1).shape
    torch.Size([5, 3])
    """

    def __init__(
        self,
        model: nn.Module,
        multiply_by_inputs: bool = True,
        eps: float = 1e-10,
        *,
        batch_size: int = 64,
        deltas: Policy = "warn",
        warning_threshold: float = 0.001,
        additional_nonlinear_ops: Mapping[Any, Callable[..., Any]] | None = None,
    ) -> None:
        require_module(model)
        super().__init__(model)
        self._multiply = multiply_by_inputs
        self.batch_size = require_count(batch_size, "batch_size", least=1)
        self.deltas, self.warning_threshold = deltas, warning_threshold
        self.additional_nonlinear_ops = additional_nonlinear_ops

    @property
    def model(self) -> nn.Module:
        """What is explained: ``forward_func``, as every attribution of Captum names it."""
        found: nn.Module = self.forward_func
        require_module(found)
        return found

    @model.setter
    def model(self, model: nn.Module) -> None:
        self.forward_func = model

    @_wrapped
    def attribute(
        self,
        inputs: Tensors,
        baselines: Any = None,
        target: Any = None,
        additional_forward_args: Any = None,
        return_convergence_delta: bool = False,
        custom_attribution_func: Custom | None = None,
    ) -> Any:
        """Attribute an output to the numbers of each input.

        Parameters
        ----------
        inputs : torch.Tensor or tuple of torch.Tensor, each of shape (rows,) or (rows, ...)
            What to explain.
        baselines : number, torch.Tensor, list of numbers, or a tuple or list of these, one for each input, optional
            With what to compare: a tensor has the shape of its input, or one row. None for zeros.
        target : int, tuple of int, torch.Tensor, list, callable or Contrast, optional
            Which output. A tensor or a list of integers, or a list of tuples, has one for each row; None is for a
            model with a single output. Functions and contrasts as in :func:`seqlight.attribute`.
        additional_forward_args : any or tuple, optional
            Further arguments of the model; tensors with a row for each row of `inputs` go with them.
        return_convergence_delta : bool
            Return by how much contributions miss the output differences, too.
        custom_attribution_func : callable, optional
            Makes the result of multipliers, inputs and baselines, each a tuple with a row for each pair, and returns
            such a tuple; it may take the first only, or the first two. Deltas are those of the contributions.

        Returns
        -------
        torch.Tensor or tuple of torch.Tensor, as `inputs`
            With `return_convergence_delta`, a tuple of it and a tensor of shape (rows,).

        Raises
        ------
        InputError
            If an argument cannot be used.
        UnsupportedOperation
            If the model contains an operation that no rule explains; the message names it and its module.
        """
        references = [one.unsqueeze(1) for one in one_baseline_each(tensors_of(inputs), baselines)]
        return self._attributed(
            inputs, references, target, additional_forward_args, return_convergence_delta, custom_attribution_func
        )

    def attribute_future(self, *args: Any, **kwargs: Any) -> None:
        """Raise NotImplementedError, as Captum's DeepLIFT does: call :meth:`attribute`, which returns the result."""
        raise NotImplementedError(f"attribute_future is not implemented for {type(self).__name__}: call attribute.")

    def has_convergence_delta(self) -> bool:
        """Return True: :meth:`attribute` can tell by how much it misses."""
        return True

    def compute_convergence_delta(
        self,
        attributions: Tensors,
        start_point: Any,
        end_point: Tensors,
        target: Any = None,
        additional_forward_args: Any = None,
    ) -> Tensor:
        """Return by how much attributions of any method miss the difference that they are to explain.

        Parameters
        ----------
        attributions : torch.Tensor or tuple of torch.Tensor, each of shape (rows, ...)
        start_point : number, torch.Tensor, or a tuple of these, optional
            `baselines` as :meth:`DeepLift.attribute` takes them.
        end_point : torch.Tensor or tuple of torch.Tensor, each of shape (rows, ...)
            The inputs.
        target, additional_forward_args
            As in :meth:`attribute`.

        Returns
        -------
        torch.Tensor, shape (rows,)
            Sums of attributions minus differences of outputs.

        Raises
        ------
        InputError
            If an argument cannot be used.

        Examples
        --------
        >>> import torch
        >>> from seqlight import DeepLift
        >>> model, X = torch.nn.Sequential(torch.nn.Linear(3, 1), torch.nn.Tanh()).double(), torch.rand(5, 3).double()
        >>> explainer = DeepLift(model)
        >>> bool(explainer.compute_convergence_delta(explainer.attribute(X), 0, X).abs().max() < 1e-12)
        True
        """
        tensors = tensors_of(end_point)
        sums = contributed(attributions, tensors)
        comparison = self._comparison(tensors, target, additional_forward_args)
        differences = comparison.differences(one_baseline_each(tensors, start_point))
        return sums.to(differences.device) - differences

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether contributions are returned, and not multipliers."""
        return self._multiply

    def _comparison(self, inputs: tuple[Tensor, ...], target: Any, args: Any) -> Comparison:
        more = () if args is None else args if isinstance(args, tuple) else (args,)
        return Comparison(
            self.model,
            inputs,
            more,
            target_of(target, len(inputs[0])),
            self.batch_size,
            self.additional_nonlinear_ops,
            self.warning_threshold,
            self.deltas,
        )

    def _attributed(
        self, inputs: Tensors, references: Sequence[Tensor], target: Any, args: Any, delta: bool, custom: Custom | None
    ) -> Any:
        def make(m: tuple[Tensor, ...], x: tuple[Tensor, ...], r: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            if custom is not None:
                return custom_result(custom, m, x, r)
            return tuple(a * (b - c) for a, b, c in zip(m, x, r, strict=True)) if self._multiply else m

        found = self._comparison(tensors_of(inputs), target, args).with_baselines(references, make)
        # Behind this method, attribute and its wrapper is the line of the user's.
        found.misses.tell(stacklevel=5)
        result = found.wanted if isinstance(inputs, tuple) else found.wanted[0]
        return (result, found.deltas) if delta else result


class DeepLiftShap(DeepLift):
    """DeepLIFT averaged over baselines, as ``captum.attr.DeepLiftShap`` is called.

    Parameters
    ----------
    model, multiply_by_inputs, batch_size, deltas, warning_threshold, additional_nonlinear_ops
        As in :class:`DeepLift`.

    Examples
    --------
    >>> import torch
    >>> import seqlight as sl
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 2), torch.nn.ReLU())
    >>> X = sl.random_one_hot((3, 4, 20)).float()
    >>> shuffled = sl.dinucleotide_shuffle(X[:1], n=10, random_state=0)[0]
    >>> sl.DeepLiftShap(model).attribute(X, shuffled, target=1).shape
    torch.Size([3, 4, 20])
    """

    def __init__(self, model: nn.Module, multiply_by_inputs: bool = True, **settings: Any) -> None:
        super().__init__(model, multiply_by_inputs, **settings)

    @_wrapped
    def attribute(
        self,
        inputs: Tensors,
        baselines: Any = None,
        target: Any = None,
        additional_forward_args: Any = None,
        return_convergence_delta: bool = False,
        custom_attribution_func: Custom | None = None,
    ) -> Any:
        """Attribute an output to the numbers of each input, averaged over baselines.

        Parameters
        ----------
        inputs : torch.Tensor or tuple of torch.Tensor, each of shape (rows,) or (rows, ...)
            What to explain.
        baselines : torch.Tensor, list, or a tuple or list of these, each of shape (baselines, ...), or callable
            For each input, with what to compare each of its rows; beyond Captum, of shape (rows, baselines, ...) for
            baselines that each row has for itself. A function is called with `inputs`, or with nothing if it takes no
            argument, and returns that.
        target, additional_forward_args, return_convergence_delta, custom_attribution_func
            As in :meth:`DeepLift.attribute`; there is a delta for each pair, those of a row together.

        Returns
        -------
        torch.Tensor or tuple of torch.Tensor, as `inputs`
            With `return_convergence_delta`, a tuple of it and a tensor of shape (rows * baselines,).

        Raises
        ------
        InputError, UnsupportedOperation
            As in :meth:`DeepLift.attribute`.
        """
        given = called(baselines, inputs) if callable(baselines) else baselines
        references = many_baselines_each(tensors_of(inputs), given)
        return self._attributed(
            inputs, references, target, additional_forward_args, return_convergence_delta, custom_attribution_func
        )
