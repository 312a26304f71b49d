"""The log-odds of a class against the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from seqlight.errors import InputError
from seqlight.targets.heads import (
    Head,
    require_head,
    require_index,
    require_one_of,
    require_task,
    select_head,
    shape_of,
)
from seqlight.targets.named_target import NamedTarget
from seqlight.targets.output_entries import read_entry

Given = Literal["logits", "binary logits", "probabilities"]


@dataclass(frozen=True)
class LogOdds(NamedTarget):
    r"""The log-odds of a class: :math:`\log \frac{p_k}{1 - p_k}`.

    A probability is a poor target where it is close to 0 or 1, since nothing changes it there; its log-odds add up
    evidence. Of logits of classes that exclude each other it is :math:`z_k - \log \sum_{j \ne k} e^{z_j}`, of a logit
    of its own the logit :math:`z_k` itself, and of probabilities their logit. Explain logits if you have them: a
    probability that has been rounded to 0 or 1 has no log-odds.

    Parameters
    ----------
    task : int
        The class, k.
    given : "logits", "binary logits" or "probabilities"
        What the model returns: logits for a softmax over all classes; a logit for a sigmoid for each; or probabilities.
    head : int, str, tuple of these, optional
        Which of the model's outputs.

    Raises
    ------
    InputError
        If an argument cannot be used, or when it is read, if the output has no such class, or is no probability.

    References
    ----------
    Shrikumar, Greenside and Kundaje (2017), Learning Important Features Through Propagating Activation Differences,
    section 3.6: to explain what comes before a sigmoid or a softmax.

    Examples
    --------
    >>> z = torch.tensor([[2.0, 1.0, 0.0]])
    >>> p = z.softmax(dim=1)
    >>> torch.allclose(LogOdds(0)(z), LogOdds(0, given="probabilities")(p))
    True
    """

    task: int = 0
    given: Given = "logits"
    head: Head = None
    name: ClassVar[str] = "log_odds"

    def __post_init__(self) -> None:
        require_head(self.head)
        require_index(self.task, "task")
        require_one_of(self.given, ("logits", "binary logits", "probabilities"), "given")

    def __call__(self, output: Any) -> Tensor:
        """Return the log-odds of each row, shape (rows,)."""
        y = select_head(output, self.head)
        if self.given == "binary logits":
            return read_entry(self.task, y)
        if self.given == "probabilities":
            p = read_entry(self.task, y)
            _require_probabilities(p)
            return torch.logit(p)
        shape = shape_of(y)
        if len(shape) != 2 or shape[1] < 2:
            raise InputError(
                f"the output has shape {tuple(shape)}: expected logits of two or more classes, (rows, classes); a "
                "logit of its own is given='binary logits'."
            )
        k = require_task(self.task, shape[1])
        return y[:, k] - y[:, [j for j in range(shape[1]) if j != k]].logsumexp(dim=1)


def _require_probabilities(p: Tensor) -> None:
    with torch._C.DisableTorchFunction():
        found = p.detach()
        if bool(((found < 0) | (found > 1)).any()):
            worst = float(found.amax() if bool((found > 1).any()) else found.amin())
            raise InputError(f"an output is {worst:.3g}: expected probabilities; LogOdds(given='logits') takes logits.")
