"""DeepLIFT and DeepLIFT/SHAP with the signatures of Captum, so that one import line switches implementation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqlight.attribution.captum_arguments import (
    called,
    custom_result,
    many_baselines_each,
    one_baseline_each,
    target_of,
    tensors_of,
)
from seqlight.attribution.contributions import Block, Misses, Policy, hypothetical_contributions
from seqlight.attribution.explaining import Explaining
from seqlight.attribution.targets import Targets
from seqlight.errors import InputError, a
from seqlight.prediction.borrow import require_module
from seqlight.sequence.checks import require_count, require_tensor

Tensors = Tensor | tuple[Tensor, ...]
Custom = Callable[..., tuple[Tensor, ...]]


class DeepLift:
    """DeepLIFT of any inputs against one baseline each, as ``captum.attr.DeepLift`` is called.

    It explains what :func:`seqlight.deep_lift_shap` explains, in the same way. The model is used in evaluation mode
    and given back exactly as it was.

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
        What to do where contributions do not sum to the output difference.
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
        self.model, self._multiply = model, multiply_by_inputs
        self.batch_size = require_count(batch_size, "batch_size", least=1)
        self.deltas, self.warning_threshold = deltas, warning_threshold
        self.additional_nonlinear_ops = additional_nonlinear_ops

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
        inputs : torch.Tensor or tuple of torch.Tensor, each of shape (rows, ...)
            What to explain.
        baselines : number, torch.Tensor, or a tuple of these with one for each input, optional
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
        tensors = tensors_of(inputs)
        references = [one.unsqueeze(1) for one in one_baseline_each(tensors, baselines)]
        return self._attributed(
            inputs, references, target, additional_forward_args, return_convergence_delta, custom_attribution_func
        )

    def has_convergence_delta(self) -> bool:
        """Return True: :meth:`attribute` can tell by how much it misses."""
        return True

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether contributions are returned, and not multipliers."""
        return self._multiply

    def _attributed(
        self,
        inputs: Tensors,
        references: Sequence[Tensor],
        target: Any,
        args: Any,
        with_delta: bool,
        custom: Custom | None,
    ) -> Any:
        tensors = tensors_of(inputs)
        rows, n, device = len(tensors[0]), references[0].shape[1], tensors[0].device
        more = () if args is None else args if isinstance(args, tuple) else (args,)
        job = Explaining(self.model, tensors, more, Targets(target_of(target, rows), rows), self.batch_size, device)
        misses, parts, deltas = Misses(self.warning_threshold, self.deltas), [], []
        with job.running(None, self.additional_nonlinear_ops):
            for first, block in job.blocks(lambda a, b: [one[a:b] for one in references], n):
                misses.add(block)
                mine = [one[first : first + len(block.deltas)] for one in tensors]
                parts.append(self._of_block(block, mine, custom))
                deltas.append(block.deltas.flatten())
        misses.tell()
        found = tuple(torch.cat(some).to(device) for some in zip(*parts, strict=True))
        result = found if isinstance(inputs, tuple) else found[0]
        return (result, torch.cat(deltas).to(device)) if with_delta else result

    def _of_block(self, block: Block, inputs: Sequence[Tensor], custom: Custom | None) -> list[Tensor]:
        """Return what is wanted for each input, the mean over its baselines."""
        n = block.deltas.shape[2]
        m = tuple(one.flatten(0, 2) for one in block.multipliers)
        r = tuple(one.flatten(0, 1) for one in block.references)
        x = tuple(one.detach().cpu().to(a.dtype).repeat_interleave(n, dim=0) for one, a in zip(inputs, r, strict=True))
        if custom is not None:
            made = custom_result(custom, m, x, r)
        elif self._multiply:
            made = tuple(a * (b - c) for a, b, c in zip(m, x, r, strict=True))
        else:
            made = m
        return [one.reshape(-1, n, *one.shape[1:]).mean(dim=1) for one in made]


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
        inputs : torch.Tensor or tuple of torch.Tensor, each of shape (rows, ...)
            What to explain.
        baselines : torch.Tensor or tuple of torch.Tensor, each of shape (baselines, ...), or callable
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
        tensors = tensors_of(inputs)
        given = called(baselines, inputs) if callable(baselines) else baselines
        references = many_baselines_each(tensors, given)
        return self._attributed(
            inputs, references, target, additional_forward_args, return_convergence_delta, custom_attribution_func
        )


def hypothetical_attributions(
    multipliers: tuple[Tensor, ...], inputs: tuple[Tensor, ...], baselines: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    """Return what each character would contribute at each position: a ``custom_attribution_func``, Captum's too.

    Parameters
    ----------
    multipliers, inputs, baselines : tuple of torch.Tensor, each of shape (pairs, letters, positions)
        As ``attribute`` passes them; the inputs do not matter.

    Returns
    -------
    tuple of torch.Tensor, shapes and dtypes of `multipliers`

    Raises
    ------
    InputError
        If they are no such tuples, or the tuples do not belong together.

    Examples
    --------
    >>> import torch
    >>> import seqlight as sl
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 2), torch.nn.ReLU())
    >>> X = sl.random_one_hot((3, 4, 20)).float()
    >>> explainer = sl.DeepLift(model)
    >>> explainer.attribute(X, target=0, custom_attribution_func=sl.hypothetical_attributions).shape
    torch.Size([3, 4, 20])
    """
    given = {"multipliers": multipliers, "inputs": inputs, "baselines": baselines}
    for name, many in given.items():
        _require_sequences(many, name)
    if not len(multipliers) == len(inputs) == len(baselines):
        met = ", ".join(f"{len(many)} {name}" for name, many in given.items())
        raise InputError(f"there are {met}: expected tuples of one length, with an entry for each input.")
    for i, each in enumerate(zip(*given.values(), strict=True)):
        if len({one.shape for one in each}) > 1:
            met = ", ".join(f"{name}[{i}] {tuple(one.shape)}" for name, one in zip(given, each, strict=True))
            raise InputError(f"the shapes are {met}: expected one shape, as attribute passes them.")
    return tuple(hypothetical_contributions(m, r).to(m.dtype) for m, r in zip(multipliers, baselines, strict=True))


def _require_sequences(many: Any, name: str) -> None:
    """Raise InputError unless it is a tuple of tensors of shape (pairs, letters, positions)."""
    if not isinstance(many, tuple | list):
        remedy = f"; pass ({name},)" if isinstance(many, Tensor) else ""
        raise InputError(f"{name} is {a(many)}: expected a tuple of tensors{remedy}.")
    for i, one in enumerate(many):
        require_tensor(one, f"{name}[{i}]")
        if one.ndim != 3:
            raise InputError(
                f"{name}[{i}] has shape {tuple(one.shape)}: expected (pairs, letters, positions); "
                "for inputs that are no sequences, use contributions."
            )
