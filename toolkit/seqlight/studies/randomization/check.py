"""Compare the attributions of a model with those of the same model when it has forgotten what it learned."""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqlight.attribution.methods.deeplift import deep_lift_shap
from seqlight.errors import InputError, RandomizationWarning, kind_of
from seqlight.metrics.attribution_tracks import sum_over_letters
from seqlight.metrics.similarity import attribution_similarity, method_agreement
from seqlight.prediction.borrowed_model.borrow import borrow, device_of
from seqlight.prediction.module_names import count_frames_outside
from seqlight.prediction.predict import predict
from seqlight.prediction.process_settings import EAGER
from seqlight.sequence.checks import require_count
from seqlight.studies.randomization.layers import Layer, find_layers, reset_layer
from seqlight.studies.randomization.parameter_copies import parameter_copies, seed_generators
from seqlight.studies.randomization.result import COLUMNS, ParameterRandomization

# Attributions of two random models that depend on the letter alone reach it in three draws in 0.4 % of cases.
THRESHOLD = 0.8


def parameter_randomization(
    model: nn.Module,
    X: Tensor,
    explain: Callable[..., Any] = deep_lift_shap,
    *,
    steps: int = 10,
    n_draws: int = 3,
    threshold: float = THRESHOLD,
    random_state: int = 0,
    **settings: Any,
) -> ParameterRandomization:
    """Check whether attributions depend on what a model has learned: re-initialise its layers, from the output on.

    Layer after layer is re-initialised and stays so, until nothing of the training is left (cascading randomisation).
    An attribution that hardly changes meanwhile shows the sequences, or the architecture, and not the model.

    The model is given back exactly as it was, also after an error: it computes with copies of its parameters and
    buffers meanwhile. The state of the global random generators is kept.

    Parameters
    ----------
    model : torch.nn.Module
        Trained.
    X : torch.Tensor, shape (sequences, letters, positions)
        One-hot.
    explain : callable
        The method, called as ``explain(model, X, **settings)``: :func:`seqlight.deep_lift_shap` or another function of
        seqlight, or your own; returns attributions of the observed characters, of the shape of `X`, or an object that
        has them as ``attributions``. `random_state` is passed on if it has such an argument, so that references stay
        the same.
    steps : int
        At most how many times attributions are computed for each draw; of a model with more layers, several are
        re-initialised at a time.
    n_draws : int
        How often this is repeated with other random numbers. Of two random models whose attributions depend on the
        letter alone, the rank correlation is often far from 0 by chance, but not each time.
    threshold : float
        The rank correlation from which attributions count as alike, 0 to 1.
    random_state : int
        The seed.
    settings
        Passed on to `explain`, such as ``target``, ``args``, ``n_shuffles`` and ``device``.

    Returns
    -------
    ParameterRandomization
        With the `table` of layers and similarities; printed, it ends with a sentence.

    Raises
    ------
    InputError
        If the model has no parameters, or an argument cannot be used.

    Warns
    -----
    RandomizationWarning
        If attributions stay alike when all layers are re-initialised.

    Notes
    -----
    A layer is re-initialised by its own ``reset_parameters``, which most layers of PyTorch have; that of a batch
    normalisation also resets the running statistics, which were those of the layers below it. Parameters of other
    modules get their numbers in random order. Layers are taken in the order in which they are called, from the last.

    References
    ----------
    Adebayo, J. et al. (2018), Sanity checks for saliency maps, Advances in Neural Information Processing Systems 31.

    Examples
    --------
    >>> import seqlight as sl
    >>> import torch
    >>> from seqlight.studies import parameter_randomization
    >>> model = torch.nn.Sequential(torch.nn.Conv1d(4, 8, 5), torch.nn.ReLU(), torch.nn.Flatten(),
    ...                             torch.nn.Linear(8 * 16, 1))
    >>> X = sl.random_one_hot((4, 4, 20), random_state=0)
    >>> found = parameter_randomization(model, X, n_shuffles=5, device="cpu")
    >>> found.table[["layer", "how"]].values.tolist()
    [['3', 'reset_parameters'], ['0', 'reset_parameters']]
    >>> found.alike
    False
    """
    if not callable(explain):
        raise InputError(f"explain is {kind_of(explain)}: expected a function, such as seqlight.deep_lift_shap.")
    seed = require_count(random_state, "random_state")
    # Of some callables nothing is known.
    with contextlib.suppress(ValueError, TypeError):
        if "random_state" in inspect.signature(explain).parameters:
            settings = {"random_state": seed} | settings
    shared = {name: settings[name] for name in ("args", "device") if settings.get(name) is not None}
    first = shared | ({"args": [one[:1] for one in shared["args"]]} if "args" in shared else {})

    def attributions() -> Tensor:
        found = explain(model, X, **settings)
        given = getattr(found, "attributions", found)
        if not isinstance(given, Tensor):
            raise InputError(f"explain returns {kind_of(given)}: expected a tensor of attributions, of the shape of X.")
        return given

    found = randomize_from_output(
        model, lambda: predict(model, X[:1], **first), attributions, steps, n_draws, threshold, seed
    )
    if found.alike:
        warnings.warn(found.sentence, RandomizationWarning, stacklevel=count_frames_outside("seqlight."))
    return found


def randomize_from_output(
    model: nn.Module,
    first_pass: Callable[[], object],
    explain: Callable[[], Tensor],
    steps: int,
    n_draws: int,
    threshold: float,
    random_state: int,
) -> ParameterRandomization:
    """Explain a model, then again and again while its layers are re-initialised; it is given back as it was.

    Parameters
    ----------
    model : torch.nn.Module
        What is re-initialised.
    first_pass : callable
        Calls the model once, to see in which order its layers are called.
    explain : callable
        Returns the attributions of the model as it is at the time.
    steps, n_draws, threshold, random_state
        As in :func:`parameter_randomization`.
    """
    require_count(steps, "steps", least=1)
    require_count(n_draws, "n_draws", least=1)
    threshold = require_threshold(threshold)
    attributions = explain()
    device = device_of(model, torch.device("cpu"))
    similarities: list[list[list[float]]] = []
    with borrow(model, device, attributes=True), warnings.catch_warnings():
        # What there is to warn of, the call before has warned of.
        warnings.simplefilter("ignore")
        with EAGER.apply():
            groups = _group_layers(find_layers(model, first_pass), steps)
        for draw in range(n_draws):
            # Borrowed once more, as buffers are then copies, too.
            with borrow(model, device), parameter_copies(model):
                seed_generators(random_state + draw, device)
                ways, found = list[str](), list[list[float]]()
                for group in groups:
                    ways.append(" and ".join(dict.fromkeys(reset_layer(layer.module) for layer in group)))
                    found.append(_similarities(attributions, explain()))
                similarities.append(found)
    table = _make_table(groups, ways, np.array(similarities))
    return ParameterRandomization(table, attributions, threshold, n_draws)


def require_threshold(threshold: object) -> float:
    """Return a threshold of rank correlations; raise InputError unless it is above 0 and at most 1."""
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 < threshold <= 1:
        raise InputError(f"threshold is {threshold!r}: expected a rank correlation, above 0 and at most 1.")
    return float(threshold)


def _group_layers(layers: Sequence[Layer], steps: int) -> list[list[Layer]]:
    """Divide layers into at most this many groups of about the same size, in order."""
    if not layers:
        raise InputError("the model has no parameters to re-initialise: expected a model that was trained.")
    groups = np.array_split(np.arange(len(layers)), min(steps, len(layers)))
    return [[layers[i] for i in group] for group in groups]


def _similarities(attributions: Tensor, others: Tensor) -> list[float]:
    """Return the mean rank correlation over sequences, that of magnitudes, and Pearson's."""
    a, b = sum_over_letters(attributions), sum_over_letters(others)
    return [
        float(one)
        for one in (method_agreement(a, b), method_agreement(a.abs(), b.abs()), attribution_similarity(a, b, "pearson"))
    ]


def _make_table(
    groups: Sequence[Sequence[Layer]], ways: Sequence[str], similarities: NDArray[np.float64]
) -> pd.DataFrame:
    """Return the table of similarities of shape (draws, steps, 3)."""
    ranks, magnitudes, r = similarities.mean(axis=0).T
    columns = (
        [group[-1].name for group in groups],
        [type(group[-1].module).__name__ for group in groups],
        ways,
        np.cumsum([len(group) for group in groups]),
        ranks,
        np.abs(similarities[:, :, 0]).min(axis=0),
        magnitudes,
        r,
    )
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))
