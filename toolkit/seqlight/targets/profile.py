"""The shape of a profile: its logits, weighted by the probabilities that they give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from seqlight.errors import InputError
from seqlight.targets.constant_parts import hold
from seqlight.targets.heads import Head, as_tracks, require_head, require_index, require_one_of, require_task, shape_of
from seqlight.targets.named_target import NamedTarget


@dataclass(frozen=True)
class Profile(NamedTarget):
    r"""The logits of a profile, weighted by their softmax: :math:`\sum_i w_i z_i` with :math:`w = \mathrm{softmax}(z)`.

    One number for the shape of a predicted profile: it is high where few positions get most of the signal. It exists
    with two readings of the weights, which differ in what is explained:

    - "explained": the weights depend on the sequence like everything else, and attributions sum to the difference of
      :math:`\sum_i w_i z_i` between the sequence and its references.
    - "constant": the weights are those of the sequence, :math:`w(x)`, for its references, too, and only the logits are
      explained: attributions sum to :math:`\sum_i w_i(x) (z_i(x) - z_i(r))`. So ``reference_outputs`` are
      :math:`\sum_i w_i(x) z_i(r)`. This is the reading of a stopped gradient under which attributions are complete.

    BPNet and chromBPNet stop the gradient at the weights, and leave it to the implementation of DeepLIFT what their
    difference does; bpnet-lite rescales each product :math:`w_i z_i` as if it depended on :math:`z_i` alone, which is
    complete, and yet another number. Attributions by gradients are those of the stopped gradient with "constant".

    Parameters
    ----------
    task : int, optional
        The task or strand; all of them if None.
    weights : "explained" or "constant"
        As above.
    centre : bool
        Subtract the mean of the logits first, as chromBPNet and bpnet-lite do: a number added to all logits changes
        nothing about the profile, and then changes nothing here.
    joint : bool
        Whether the softmax runs over all tasks together, as in chromBPNet and bpnet-lite, where strands share one
        profile; else over each on its own, and their numbers are averaged, as in BPNet.
    head : int, str, tuple of these, optional
        Which of the model's outputs: 0 for a model that returns (profile, counts).
    channels_last : bool
        Whether the output is (rows, positions, tasks) instead of (rows, tasks, positions).

    Raises
    ------
    InputError
        If an argument cannot be used, or when it is read, if the output has no such head, task or positions.

    References
    ----------
    Avsec and others (2021), Base-resolution models of transcription-factor binding reveal soft motif syntax.

    Examples
    --------
    >>> import torch
    >>> flat, peak = torch.zeros(1, 1, 50), torch.zeros(1, 1, 50)
    >>> peak[..., 20:30] = 5
    >>> float(Profile()(flat)), round(float(Profile()(peak)), 2)
    (0.0, 3.87)
    """

    task: int | None = None
    weights: Literal["explained", "constant"] = "explained"
    centre: bool = True
    joint: bool = True
    head: Head = None
    channels_last: bool = False
    name: ClassVar[str] = "profile"

    def __post_init__(self) -> None:
        require_head(self.head)
        if self.task is not None:
            require_index(self.task, "task")
        require_one_of(self.weights, ("explained", "constant"), "weights")

    @property
    def holds(self) -> bool:
        """Whether it holds something constant, which only a method that knows the sequence of each row can."""
        return self.weights == "constant"

    def __call__(self, output: Any) -> Tensor:
        """Return the weighted sum of each row, shape (rows,)."""
        z = as_tracks(output, self.head, self.channels_last)
        if self.task is not None:
            task = require_task(self.task, shape_of(z)[1])
            z = z[:, task : task + 1]
        if self.joint:
            z = z.flatten(1).unsqueeze(1)
        if self.centre and shape_of(z)[2] == 1:  # minus its mean, which leaves 0
            raise InputError("the output is one number for each row: expected a profile, logits of several positions.")
        # Centred before the softmax, too, so that attributions do not change with what is added to all logits.
        z = z - z.mean(dim=2, keepdim=True) if self.centre else z
        w = z.softmax(dim=2)
        w = hold(w) if self.weights == "constant" else w
        return (w * z).sum(dim=2).mean(dim=1)
