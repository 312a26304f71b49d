"""Explanation: attributions with everything else that a method knows of them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch import Tensor

from seqlight.errors import InputError
from seqlight.notebook.markup import html_lines, html_table, shown_safely
from seqlight.notebook.small_logo import small_logo

if TYPE_CHECKING:
    import pandas as pd

# How many sequences a notebook shows as a table and as logos, how many targets of each, and how many layers.
SHOWN, LOGOS, TARGETS, LAYERS = 5, 3, 3, 10
# The median of a standard error is that of so many sequences at most, since a print should not take seconds.
SAMPLED = 1000
# The fields that all targets of a sequence share.
PER_SEQUENCE = frozenset(("n_references", "references"))


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """Attributions, what they were computed from, and how accurate they are.

    For a list of targets, every tensor except `references` and `n_references` has a second dimension, of targets;
    for a single target it does not. Where sequences have different numbers of references, the rest is filled with NaN,
    or with 0 in integer `references`.

    Attributes
    ----------
    method : str
        The function that returned it.
    attributions : torch.Tensor, shape (sequences, letters, positions)
        What each character of the sequence contributes.
    hypothetical : torch.Tensor, shape of `attributions`
        What each character would contribute if it were there.
    outputs : torch.Tensor, shape (sequences,)
        What is explained: the model's output on each sequence, at the target.
    reference_outputs : torch.Tensor or None, shape (sequences, references)
        The same on the references; None for a method without references.
    deltas : torch.Tensor or None, shape (sequences, references)
        Convergence deltas: the sum of the contributions of a pair minus the difference of its outputs.
    standard_error : torch.Tensor or None, shape of `attributions`
        The standard error of `hypothetical` over references; NaN for a single reference.
    n_references : torch.Tensor or None, int64, shape (sequences,)
        How many references each sequence was compared with.
    references : torch.Tensor or None, shape (sequences, references, letters, positions)
        The references, if they were to be kept.
    multipliers : torch.Tensor or None, shape (sequences, references, letters, positions)
        The multipliers of each reference, if they were asked for.
    random_state : int or None
        The seed of reference 0, if references were drawn.
    spread : torch.Tensor or None, shape of `attributions`
        Of an :class:`seqlight.Ensemble`: the standard deviation of `hypothetical` over its members.
    spread_over_folds, spread_over_strands, spread_over_shifts : torch.Tensor or None, shape of `attributions`
        The same over folds (of the mean over strands and shifts of each), strands and shifts; None for a single one.
    layers : dict of str to torch.Tensor, each of shape (sequences, ...), or None
        What each number contributes that the modules named in ``layers`` return: the mean over references. The sequence
        is the first dimension, wherever the model has its batch.
    layer_names : tuple of str or None
        The outputs of modules in `layer_totals`, in the order of their calls: ``"name"``, ``"name#1"`` for the second
        of several calls, ``"name[1]"`` for the second of several tensors; and with ``layers=True`` their parts,
        ``"name: branch 1 (conv)"`` of a sum and ``"name: head 3"`` of attention.
    layer_totals : torch.Tensor or None, shape (sequences, references, outputs of modules)
        The sum of what each of them contributes to the output difference of each pair.

    Examples
    --------
    >>> import torch
    >>> import seqlight as sl
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 3))
    >>> sl.attribute(model, sl.random_one_hot((2, 4, 20)), target=[0, 2], random_state=0)
    Explanation by attribute
      attributions, hypothetical, standard_error: (2, 2, 4, 20) float32
      outputs: (2, 2) float32
      reference_outputs, deltas: (2, 2, 20) float32
      n_references: (2,) int64
      references: (2, 20, 4, 20) int8
    """

    method: str
    attributions: Tensor
    hypothetical: Tensor
    outputs: Tensor
    reference_outputs: Tensor | None = None
    deltas: Tensor | None = None
    standard_error: Tensor | None = None
    n_references: Tensor | None = None
    references: Tensor | None = None
    multipliers: Tensor | None = None
    random_state: int | None = None
    spread: Tensor | None = None
    spread_over_folds: Tensor | None = None
    spread_over_strands: Tensor | None = None
    spread_over_shifts: Tensor | None = None
    layers: dict[str, Tensor] | None = None
    layer_names: tuple[str, ...] | None = None
    layer_totals: Tensor | None = None

    @property
    def relative_deltas(self) -> Tensor | None:
        """The absolute deltas as a share of the sequence's mean absolute output difference; shape of `deltas`."""
        if self.deltas is None or self.reference_outputs is None:
            return None
        sizes = (self.outputs.unsqueeze(-1) - self.reference_outputs).abs().nanmean(dim=-1, keepdim=True)
        return self.deltas.abs() / sizes.clamp_min(torch.finfo(sizes.dtype).tiny)

    @property
    def differences(self) -> Tensor | None:
        """The output of each sequence minus the mean output of its references: what its attributions sum to."""
        return None if self.reference_outputs is None else self.outputs - self.reference_outputs.nanmean(dim=-1)

    @property
    def ledger(self) -> pd.DataFrame:
        """Which share of the output difference goes through what each module returns; of a call with ``layers``.

        Returns
        -------
        pandas.DataFrame
            A row for each module, in the order of their calls: ``layer``, ``part`` for branches of sums and heads of
            attention and "" for the rest, ``share``, its ``standard_error`` over references, and ``complete``, whether
            everything goes through it; for several targets with ``target``.

        Raises
        ------
        InputError
            If no layers were asked for.

        Examples
        --------
        >>> import torch
        >>> import seqlight as sl
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 3), torch.nn.ReLU())
        >>> sl.attribute(model, sl.random_one_hot((2, 4, 20)), layers=True, random_state=0).ledger["layer"].tolist()
        ['0', '1', '2']
        """
        # Here, since pandas takes a while to load.
        from seqlight.attribution.layer_ledger import ledger_table

        if self.layer_totals is None or self.reference_outputs is None or self.layer_names is None:
            raise InputError("no layers were asked for: pass layers=True, or names of modules, to seqlight.attribute.")
        return ledger_table(self.layer_totals, self.outputs.unsqueeze(-1) - self.reference_outputs, self.layer_names)

    def of_target(self, k: int) -> Explanation:
        """Return the explanation of the k-th of several targets.

        Raises
        ------
        InputError
            If a single target was explained, or there is no k-th target.
        """
        if self.attributions.ndim != 4 or not -self.outputs.shape[1] <= k < self.outputs.shape[1]:
            raise InputError(f"there is no target {k} in outputs of shape {tuple(self.outputs.shape)}.")
        selected = {name: one.select(1, k) for name, one in self._tensors().items() if name not in PER_SEQUENCE}
        layers = self.layers and {name: one.select(1, k) for name, one in self.layers.items()}
        return replace(self, layers=layers, **selected)  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self.attributions)

    def __getitem__(self, rows: Any) -> NoReturn:
        # Also what iterates over it and makes an array of it, which NumPy would do in silence, of the object itself.
        raise InputError("an Explanation is no tensor: expected one of those that it holds, such as .attributions[0].")

    def __getattr__(self, name: str) -> NoReturn:
        advice = f"; its tensors have one, as in .attributions.{name}" if hasattr(Tensor, name) else ""
        raise AttributeError(f"an Explanation has no attribute {name!r}{advice}.", name=name, obj=self)

    def __repr__(self) -> str:
        names_of: dict[str, list[str]] = {}
        for name, one in self._tensors().items():
            names_of.setdefault(f"{tuple(one.shape)} {str(one.dtype).removeprefix('torch.')}", []).append(name)
        lines = [f"  {', '.join(names)}: {kind}" for kind, names in names_of.items()]
        lines += [f"  layers[{name!r}]: {tuple(one.shape)}" for name, one in (self.layers or {}).items()]
        return "\n".join([f"Explanation by {self.method}", *lines])

    def __str__(self) -> str:
        return "\n  ".join(self._summary())

    @shown_safely
    def _repr_html_(self) -> str:
        several = self.attributions.ndim == 4
        names = ["sequence", *(["target"] if several else []), "output", "mean of references", "largest relative delta"]
        rows = [
            [i, *([k] if several else []), *self._numbers((i, k) if several else (i,))]
            for i in range(min(SHOWN, len(self)))
            for k in (range(min(TARGETS, self.outputs.shape[1])) if several else (0,))
        ]
        first = self.attributions[:LOGOS].detach().cpu().double()
        first = first[:, 0] if several and first.shape[1] else first
        target = ", target 0" if several else ""
        logos = (small_logo(one.numpy(), f"sequence {i}{target}") for i, one in enumerate(first))
        return html_lines(self._summary()) + html_table(names, rows) + self._layers_html() + "".join(logos)

    def _layers_html(self) -> str:
        """Return the rows of the ledger that not everything goes through, those with the largest shares first."""
        if self.layer_totals is None:
            return ""
        table = self.ledger
        table = table[~table["complete"]].sort_values("share", key=abs, ascending=False, kind="stable")[:LAYERS]
        if table.empty:
            return ""
        names = ["target"] * ("target" in table) + ["layer", "part", "share", "standard_error"]
        return html_table([one.replace("_", " ") for one in names], table[names].astype(object).to_numpy().tolist())

    def _summary(self) -> list[str]:
        """Return what there is, and how far it can be trusted, in a few lines."""
        several = self.attributions.ndim == 4
        letters, positions = self.attributions.shape[-2:]
        targets = f", {self.attributions.shape[1]} targets" if several else ""
        lines = [f"Explanation by {self.method}: {len(self)} sequences of {letters} x {positions}{targets}"]
        outputs = _finite(self.outputs)
        if len(outputs):
            lines.append(f"outputs: {outputs.min():.4g} to {outputs.max():.4g}")
        if self.n_references is not None and len(self.n_references):
            least, most = int(self.n_references.min()), int(self.n_references.max())
            seed = "" if self.random_state is None else f", drawn with seed {self.random_state}"
            lines.append(f"references: {least if least == most else f'{least} to {most}'} for each sequence{seed}")
        relative = self.relative_deltas
        if self.deltas is not None and relative is not None and len(_finite(self.deltas)):
            share = _finite(relative).max() if len(_finite(relative)) else torch.nan
            lines.append(f"largest delta: {_finite(self.deltas).abs().max():.1e}, {share:.1e} of the output difference")
        for name, tensor in (("standard error", self.standard_error), ("spread between models", self.spread)):
            shares = self._relative_sizes(tensor)
            if len(shares):
                median, largest = shares.median(), shares.max()
                lines.append(f"{name}: {median:.1%} of the attributions in the median, {largest:.1%} at most")
        return lines

    def _relative_sizes(self, tensor: Tensor | None) -> Tensor:
        """Return the norm of a tensor for some sequences as a share of that of their attributions."""
        if tensor is None:
            return torch.empty(0)
        values, found = (one[:SAMPLED].detach().cpu().double() for one in (self.attributions, tensor))
        found = torch.where(values != 0, found, 0.0)
        return _finite(found.flatten(-2).norm(dim=-1) / values.flatten(-2).norm(dim=-1))

    def _numbers(self, where: tuple[int, ...]) -> list[float | None]:
        """Return the output, the mean output of the references and the largest relative delta of a sequence."""
        baselines, relative = self.reference_outputs, self.relative_deltas
        return [
            float(self.outputs[where]),
            None if baselines is None else float(baselines[where].nanmean()),
            None if relative is None else float(relative[where].nan_to_num(0.0).max()),
        ]

    def _tensors(self) -> dict[str, Tensor]:
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: one for name, one in found.items() if isinstance(one, Tensor)}


def _finite(values: Tensor) -> Tensor:
    """Return the finite numbers among values, float64."""
    found = values.detach().cpu().double().flatten()
    return found[found.isfinite()]
