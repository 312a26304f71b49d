"""DeepLIFT and DeepLIFT/SHAP as classes of Captum, so that one changed import switches the implementation."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

from captum.attr import GradientAttribution
from torch import Tensor, nn

from seqlight.attribution.convergence import DeltaPolicy
from seqlight.attribution.methods.captum_arguments import (
    as_tensors,
    baselines_per_row,
    call_attribution_func,
    call_with_accepted_arguments,
    convert_target,
    one_baseline_per_row,
    sum_attributions,
)
from seqlight.attribution.methods.captum_comparison import Comparison
from seqlight.prediction.arguments import require_module
from seqlight.prediction.batch_size import AskedBatchSize, BatchSize, require_batch_size
from seqlight.prediction.float32_precision import Precision, require_precision

# Pairs at a time on a device that does not report its memory, if nobody chose a number.
ROWS_ON_CPU = 64
Tensors = Tensor | tuple[Tensor, ...]
AttributionFunction = Callable[..., tuple[Tensor, ...]]
P = ParamSpec("P")
R = TypeVar("R")


def _set_wrapped(attribute: Callable[P, R]) -> Callable[P, R]:
    """Return a method with the attribute ``__wrapped__``, which Captum's NoiseTunnel and its like call."""

    @functools.wraps(attribute)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        return attribute(*args, **kwargs)

    return wrapper


class DeepLift(GradientAttribution):  # type: ignore[misc]  # Captum comes without types
    """DeepLIFT of any inputs against one baseline each, with the interface of ``captum.attr.DeepLift``.

    It explains the same models as :func:`seqlight.deep_lift_shap`, in the same way, and returns the model as it was. It
    is a ``captum.attr.Attribution``, so ``captum.attr.NoiseTunnel`` takes it.

    Parameters
    ----------
    model : torch.nn.Module
        Called as ``model(*inputs, *additional_forward_args)``.
    multiply_by_inputs : bool
        Return contributions, which are multipliers times the difference of input and baseline; else multipliers.
    eps : float
        Accepted for calls that are written for Captum, and not used: here the dtype decides where a secant is rounding
        noise.
    batch_size : int or "auto"
        Pairs of an input and a baseline per batch. It does not change the result. "auto" is 64 on the CPU, and on a GPU
        as many as fit into its memory.
    deltas : "warn", "raise" or "ignore"
        What to do if contributions do not sum to the output difference. A model in float32 is first tried again in
        float64, unless this is "ignore".
    warning_threshold : float
        By how much they may differ from it.
    additional_nonlinear_ops : mapping, optional
        Rules that override or extend the built-in ones, as in :func:`seqlight.deep_lift_shap`.
    precision : "tf32", optional
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
        batch_size: AskedBatchSize = "auto",
        deltas: DeltaPolicy = "warn",
        warning_threshold: float = 0.001,
        additional_nonlinear_ops: Mapping[Any, Callable[..., Any]] | None = None,
        precision: Precision = None,
    ) -> None:
        require_module(model)
        super().__init__(model)
        self._multiply = multiply_by_inputs
        self.batch_size = require_batch_size(batch_size)
        self.deltas, self.warning_threshold = deltas, warning_threshold
        self.additional_nonlinear_ops = additional_nonlinear_ops
        self.precision: Precision = require_precision(precision)

    @property
    def model(self) -> nn.Module:
        """The model: the ``forward_func`` of Captum's attributions."""
        found: nn.Module = self.forward_func
        require_module(found)
        return found

    @model.setter
    def model(self, model: nn.Module) -> None:
        self.forward_func = model

    @_set_wrapped
    def attribute(
        self,
        inputs: Tensors,
        baselines: Any = None,
        target: Any = None,
        additional_forward_args: Any = None,
        return_convergence_delta: bool = False,
        custom_attribution_func: AttributionFunction | None = None,
    ) -> Any:
        """Attribute an output to the numbers of each input.

        Parameters
        ----------
        inputs : torch.Tensor or tuple of torch.Tensor, each of shape (rows,) or (rows, ...)
            What to explain.
        baselines : number, torch.Tensor, list, or a tuple or list of these, one for each input, or callable
            What to compare with. :class:`DeepLift` takes numbers, lists of numbers, and tensors in the shape of the
            input or of one row; None is for zeros. :class:`DeepLiftShap` takes tensors and lists of shape
            (baselines, ...), shared by all rows, or, unlike Captum, (rows, baselines, ...), for each row its own; or a
            function, called with `inputs`, or with nothing if it has no parameters, that returns them.
        target : int, tuple of int, torch.Tensor, list, callable or Contrast, optional
            Which output. A tensor or a list of integers, or a list of tuples, has one target for each row; None is for
            a model with a single output. Functions and contrasts as in :func:`seqlight.attribute`.
        additional_forward_args : any or tuple, optional
            Further arguments of the model. Tensors with a row for each row of `inputs` are split into the same batches.
        return_convergence_delta : bool
            Return also by how much contributions differ from the output differences.
        custom_attribution_func : callable, optional
            Takes multipliers, inputs and baselines (or only the first, or the first two), each a tuple with a row for
            each pair, and returns attributions as such a tuple. Deltas are still those of the contributions.

        Returns
        -------
        torch.Tensor or tuple of torch.Tensor, as `inputs`
            The mean over baselines. With `return_convergence_delta`, a tuple of it and a tensor of deltas: of shape
            (rows,), or (rows * baselines,) from :class:`DeepLiftShap`, those of a row together.

        Raises
        ------
        InputError
            If an argument cannot be used.
        ConvergenceError
            If contributions do not sum to the output difference and `deltas` is "raise".
        OutOfMemory
            If the device has not enough memory for a single pair.
        UnsupportedOperation
            If the model contains an operation that no rule covers; the message names it and its module.

        Warns
        -----
        ConvergenceWarning
            If contributions do not sum to the output difference.
        MemoryWarning
            If fewer pairs at a time fit into memory than `batch_size`.
        """
        references = self._references(inputs, baselines)
        comparison = self._comparison(as_tensors(inputs), target, additional_forward_args)
        found = comparison.attribute(references, self._function(custom_attribution_func))
        # The user's line is that of the caller of the wrapper of this method.
        comparison.size.warn_if_reduced(stacklevel=3)
        found.check.warn_if_incomplete(stacklevel=4)
        result = found.attributions if isinstance(inputs, tuple) else found.attributions[0]
        return (result, found.deltas) if return_convergence_delta else result

    def attribute_future(self, *args: Any, **kwargs: Any) -> None:
        """Raise NotImplementedError, as Captum's DeepLIFT does: call :meth:`attribute`, which returns the result."""
        raise NotImplementedError(f"attribute_future is not implemented for {type(self).__name__}: call attribute.")

    def has_convergence_delta(self) -> bool:
        """Return True: :meth:`attribute` can return convergence deltas."""
        return True

    def compute_convergence_delta(
        self,
        attributions: Tensors,
        start_point: Any,
        end_point: Tensors,
        target: Any = None,
        additional_forward_args: Any = None,
    ) -> Tensor:
        """Return by how much the attributions of any method differ from the output difference that they explain.

        Parameters
        ----------
        attributions : torch.Tensor or tuple of torch.Tensor, each of shape (rows, ...)
        start_point : number, torch.Tensor, or a tuple of these, optional
            Baselines, as :meth:`DeepLift.attribute` takes them.
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
        tensors = as_tensors(end_point)
        sums = sum_attributions(attributions, tensors)
        comparison = self._comparison(tensors, target, additional_forward_args)
        differences = comparison.differences(one_baseline_per_row(tensors, start_point))
        return sums.to(differences.device) - differences

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether contributions are returned, rather than multipliers."""
        return self._multiply

    def _function(self, custom: AttributionFunction | None) -> AttributionFunction:
        """Return what makes attributions of multipliers, inputs and baselines."""

        def function(m: tuple[Tensor, ...], x: tuple[Tensor, ...], r: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            if custom is not None:
                return call_attribution_func(custom, m, x, r)
            return tuple(a * (b - c) for a, b, c in zip(m, x, r, strict=True)) if self._multiply else m

        return function

    def _comparison(self, inputs: tuple[Tensor, ...], target: Any, args: Any) -> Comparison:
        """Return the model and its inputs, with the settings of this object."""
        more = () if args is None else args if isinstance(args, tuple) else (args,)
        return Comparison(
            self.model,
            inputs,
            more,
            convert_target(target, len(inputs[0])),
            BatchSize(self.batch_size, inputs[0].device, otherwise=ROWS_ON_CPU),
            self.additional_nonlinear_ops,
            self.warning_threshold,
            self.deltas,
            self.precision,
        )

    def _references(self, inputs: Tensors, baselines: Any) -> list[Tensor]:
        """Return the baselines of each row, shape (rows, baselines, ...), for each input."""
        return [one.unsqueeze(1) for one in one_baseline_per_row(as_tensors(inputs), baselines)]


class DeepLiftShap(DeepLift):
    """DeepLIFT averaged over baselines, with the interface of ``captum.attr.DeepLiftShap``.

    Parameters
    ----------
    model, multiply_by_inputs
        As in :class:`DeepLift`.
    **settings
        The other parameters of :class:`DeepLift`.

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

    def _references(self, inputs: Tensors, baselines: Any) -> list[Tensor]:
        given = call_with_accepted_arguments(baselines, inputs) if callable(baselines) else baselines
        return baselines_per_row(as_tensors(inputs), given)
