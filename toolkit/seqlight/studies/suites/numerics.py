"""How far attributions in other dtypes, batches, threads, processes and on other devices are from those in float64."""

from __future__ import annotations

import copy
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn

from seqlight.attribution.methods.deeplift import deep_lift_shap
from seqlight.attribution.references import References
from seqlight.sequence.one_hot import random_one_hot
from seqlight.sequence.shuffles import dinucleotide_shuffle
from seqlight.studies.agreement import likeness
from seqlight.studies.implementations.implementation import Implementation
from seqlight.studies.implementations.registry import choose_implementations
from seqlight.studies.suites.planted_networks import AttentionNetwork, convolutional_network
from seqlight.studies.suites.suite import TableSuite

LENGTH, ROWS, REFERENCES = 120, 10, 5
IMPLEMENTATIONS = ("seqlight", "tangermeme", "captum-deeplift", "input-x-gradient")
BATCHES = (1, 7, 32, ROWS * REFERENCES)
THREADS = (1, 2)
ERRORS = (ImportError, ArithmeticError, ValueError, LookupError, RuntimeError, TypeError)


def smooth_network(length: int) -> nn.Module:
    """Return a network with GELU and layer normalization, without a max pooling."""
    return nn.Sequential(
        nn.Conv1d(4, 24, 9, padding=4),
        nn.GELU(),
        nn.LayerNorm(length),
        nn.Conv1d(24, 24, 9, stride=4),
        nn.GELU(),
        nn.Flatten(),
        nn.LazyLinear(1),
    )


def coarse_network(length: int) -> nn.Module:
    """Return the convolutional network with weights as a model in bfloat16 has them, so that sums can be equal."""
    return convolutional_network(length).bfloat16().float()


NETWORKS: Mapping[str, Callable[[int], nn.Module]] = {
    "convolutional": convolutional_network,
    "convolutional, coarse weights": coarse_network,
    "GELU, LayerNorm": smooth_network,
    "attention": AttentionNetwork,
}


class Inputs(NamedTuple):
    """A model in float64, one-hot sequences, and references."""

    model: nn.Module
    X: Tensor
    references: Tensor


def make_inputs(make_network: Callable[[int], nn.Module], rows: int = ROWS, references: int = REFERENCES) -> Inputs:
    """Return an untrained network, always the same one, with sequences and dinucleotide shuffles of them."""
    X = random_one_hot((rows, 4, LENGTH), random_state=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = make_network(LENGTH)
        model(X[:1].float())
    model = model.double().eval().requires_grad_(False)
    return Inputs(model, X, References(dinucleotide_shuffle, X, references, 0).draw(0, rows))


def deviation(found: Tensor, exact: Tensor) -> dict[str, float]:
    """Return how far contributions are from exact ones.

    Returns
    -------
    dict
        `rms`, the root mean square of the differences, and `largest`, the largest, both as a share of the root mean
        square of the exact ones; and `top_overlap`, the share of the largest tenth of the positions in common.

    Raises
    ------
    ArithmeticError
        If some are NaN or infinite.
    """
    if not bool(torch.isfinite(found).all()):
        raise ArithmeticError("contributions that are not finite")
    difference, scale = found.double() - exact, exact.square().mean().sqrt()
    return {
        "rms": float(difference.square().mean().sqrt() / scale),
        "largest": float(difference.abs().max() / scale),
        "top_overlap": likeness(found, exact)["top_overlap"],
    }


def _explain(one: Implementation, inputs: Inputs, dtype: torch.dtype) -> Tensor:
    # A copy, because half precision would leave its weights rounded.
    model = copy.deepcopy(inputs.model).to(dtype)
    with warnings.catch_warnings():
        # In low precision contributions do not add up, and whoever checks it says so.
        warnings.simplefilter("ignore")
        return one.contributions(model, inputs.X.to(dtype), inputs.references.to(dtype), (), 0, 0).detach()


# By name: the dtype of the model and what it is called in.
SETTINGS: Mapping[str, tuple[torch.dtype, Callable[[], Any]]] = {
    "float32": (torch.float32, nullcontext),
    "bfloat16": (torch.bfloat16, nullcontext),
    "float16": (torch.float16, nullcontext),
    "float32, in torch.autocast": (torch.float32, lambda: torch.autocast("cpu", torch.bfloat16)),
}
BY_OPTION = "float32, dtype=bfloat16"


def dtype_table(
    networks: Mapping[str, Callable[[int], nn.Module]] = NETWORKS,
    implementations: Sequence[str | Implementation] = IMPLEMENTATIONS,
) -> pd.DataFrame:
    """Return how far each implementation is from its own result in float64, by dtype.

    Weights are float32, so that in half precision they are rounded, as those of a model that is converted.
    """
    rows = []
    for name, make_network in networks.items():
        inputs = make_inputs(make_network)
        for one in choose_implementations(implementations):
            rows += [{"network": name, "implementation": one.name, **row} for row in _dtype_rows(one, inputs)]
    return pd.DataFrame(rows)


def _dtype_rows(one: Implementation, inputs: Inputs) -> Iterator[dict[str, Any]]:
    try:
        exact = _explain(one, inputs, torch.float64)
    except ERRORS as error:
        yield {"setting": "float64", "error": _say(error)}
        return
    calls: dict[str, Callable[[], Tensor]] = {
        setting: partial(_explain_in, context, one, inputs, dtype) for setting, (dtype, context) in SETTINGS.items()
    }
    if one.name in ("seqlight", "tangermeme"):
        calls[BY_OPTION] = partial(_by_option, one.name, inputs)
    for setting, call in calls.items():
        try:
            yield {"setting": setting, **deviation(call(), exact), "error": ""}
        except ERRORS as error:
            yield {"setting": setting, "error": _say(error)}


def _explain_in(context: Callable[[], Any], *arguments: Any) -> Tensor:
    with context():
        return _explain(*arguments)


def _say(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def ours(inputs: Inputs, **options: Any) -> Tensor:
    """Return attributions of seqlight, shape (rows, letters, positions)."""
    found = deep_lift_shap(inputs.model, inputs.X, references=inputs.references, **{"device": "cpu", **options})
    return torch.as_tensor(found)


def theirs(inputs: Inputs, of_model: torch.dtype, **options: Any) -> Tensor:
    """Return those of tangermeme, with a model of this dtype."""
    from tangermeme.deep_lift_shap import deep_lift_shap as tangermeme

    model, references = copy.deepcopy(inputs.model).to(of_model), inputs.references.to(of_model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.as_tensor(tangermeme(model, inputs.X.to(of_model), references=references, device="cpu", **options))


def _by_option(name: str, inputs: Inputs) -> Tensor:
    """Return contributions of a float32 model with ``dtype=torch.bfloat16``, which two implementations have."""
    options: dict[str, Any] = {"raw_outputs": True, "dtype": torch.bfloat16}
    if name == "seqlight":
        raw = ours(inputs._replace(model=copy.deepcopy(inputs.model).float()), **options)
    else:
        raw = theirs(inputs, torch.float32, **options)
    return ((inputs.X[:, None] - inputs.references) * raw).sum(dim=2)


def batch_table(
    networks: Mapping[str, Callable[[int], nn.Module]] = NETWORKS,
    batches: Sequence[int] = BATCHES,
    threads: Sequence[int] = THREADS,
) -> pd.DataFrame:
    """Return how far attributions in batches, and with threads, are from those in float64, all pairs at once.

    `batch` is the number of pairs in one; `same_bits` tells whether all bits are those of the first row of the same
    network, implementation and dtype.
    """
    rows = []
    for name, make_network in networks.items():
        inputs = make_inputs(make_network)
        calls: dict[str, Callable[..., Tensor]] = {
            "seqlight": lambda dtype, size, inputs=inputs: ours(inputs, dtype=dtype, batch_size=size),
            "tangermeme": lambda dtype, size, inputs=inputs: theirs(inputs, dtype, batch_size=size),
        }
        for implementation, call in calls.items():
            for dtype in (torch.float64, torch.float32):
                kind = {"network": name, "implementation": implementation, "dtype": str(dtype).removeprefix("torch.")}
                rows += [{**kind, **row} for row in _batch_rows(call, dtype, batches, threads)]
    return pd.DataFrame(rows)


def _batch_rows(
    call: Callable[..., Tensor], dtype: torch.dtype, batches: Sequence[int], threads: Sequence[int]
) -> Iterator[dict[str, Any]]:
    exact: Tensor | None = None
    first: Tensor | None = None
    for n in threads:
        for size in batches:
            row: dict[str, Any] = {"threads": n, "batch": size}
            try:
                with _threads(n):
                    exact = call(torch.float64, max(batches)).sum(dim=1) if exact is None else exact
                    found = call(dtype, size).sum(dim=1)
            except ERRORS as error:
                yield {**row, "error": _say(error)}
                continue
            first = found if first is None else first
            yield {**row, **deviation(found, exact), "same_bits": bool((found == first).all()), "error": ""}


@contextmanager
def _threads(n: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def place_table(networks: Mapping[str, Callable[[int], nn.Module]] = NETWORKS) -> pd.DataFrame:
    """Return how far attributions of two processes, and of a CUDA device, are from those of one process on the CPU."""
    rows = []
    for name, make_network in networks.items():
        inputs = make_inputs(make_network)
        model = make_inputs(make_network).model.float()
        exact = ours(inputs).sum(dim=1)
        here = inputs._replace(model=model)
        # The others are compared with the first, bit by bit.
        places: dict[str, Callable[[], Tensor]] = {
            "one process, one thread": partial(_processes, here, 1, 1),
            "one process, two threads": partial(_processes, here, 1, 2),
            "two processes": partial(_processes, here, 2, 1),
        }
        if torch.cuda.is_available():
            places["CUDA"] = partial(ours, here, device="cuda")
        else:
            rows.append({"network": name, "place": "CUDA", "error": "no device on this machine"})
        alone: Tensor | None = None
        for place, call in places.items():
            row: dict[str, Any] = {"network": name, "place": place, "error": ""}
            try:
                found = call()
                alone = found if alone is None else alone
                row |= {**deviation(found.sum(dim=1), exact), "same_bits": bool((found == alone).all())}
            except ERRORS as error:
                row["error"] = _say(error)
            rows.append(row)
    return pd.DataFrame(rows)


def _processes(inputs: Inputs, n: int, threads: int) -> Tensor:
    """Return attributions by :func:`seqlight.run` in so many processes, which talk by gloo."""
    from seqlight.lit.attribution_module import DeepLiftShapModule  # loads Lightning
    from seqlight.lit.run import run

    job = DeepLiftShapModule(inputs.model, references=dinucleotide_shuffle, n_shuffles=REFERENCES, random_state=0)
    with _threads(threads), tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = run(
            job, inputs.X, Path(folder) / "out", devices=n, accelerator="cpu", batch_size=4, progress=False,
            strategy="ddp_spawn" if n > 1 else "auto",
        )  # fmt: skip
        return torch.as_tensor(found["attributions"][:])


def _tables() -> dict[str, pd.DataFrame]:
    return {"dtypes": dtype_table(), "batches": batch_table(), "places": place_table()}


SUITE = TableSuite(
    name="numerics",
    title="Numerics",
    question="How far are attributions from those in float64, by dtype, batch, thread, process and device?",
    tables=_tables,
)
