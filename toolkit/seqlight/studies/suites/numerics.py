"""How far attributions in other dtypes, batches, threads, processes and on other devices are from those in float64."""

from __future__ import annotations

import copy
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from seqlight.attribution.methods.deeplift import deep_lift_shap
from seqlight.sequence.shuffles import dinucleotide_shuffle
from seqlight.studies.agreement import likeness
from seqlight.studies.implementations.implementation import Implementation
from seqlight.studies.implementations.registry import choose_implementations
from seqlight.studies.suites.numerics_inputs import NETWORKS, REFERENCES, ROWS, Inputs, make_inputs
from seqlight.studies.suites.suite import TableSuite

IMPLEMENTATIONS = ("seqlight", "tangermeme", "captum-deeplift", "input-x-gradient")
BATCHES = (1, 7, 32, ROWS * REFERENCES)
THREADS = (1, 2)


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
    except Exception as error:
        yield {"setting": "float64", "error": _first_line(error)}
        return
    calls: dict[str, Callable[[], Tensor]] = {
        setting: partial(_explain_in, context, one, inputs, dtype) for setting, (dtype, context) in SETTINGS.items()
    }
    if one.name in ("seqlight", "tangermeme"):
        calls[BY_OPTION] = partial(_explain_by_option, one.name, inputs)
    for setting, call in calls.items():
        try:
            yield {"setting": setting, **deviation(call(), exact), "error": ""}
        except Exception as error:
            yield {"setting": setting, "error": _first_line(error)}


def _explain_in(context: Callable[[], Any], *arguments: Any) -> Tensor:
    with context():
        return _explain(*arguments)


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def explain_with_seqlight(inputs: Inputs, **options: Any) -> Tensor:
    """Return attributions of seqlight, shape (rows, letters, positions)."""
    found = deep_lift_shap(inputs.model, inputs.X, references=inputs.references, **{"device": "cpu", **options})
    return torch.as_tensor(found)


def explain_with_tangermeme(inputs: Inputs, model_dtype: torch.dtype, **options: Any) -> Tensor:
    """Return those of tangermeme, with a model of this dtype."""
    from tangermeme.deep_lift_shap import deep_lift_shap as tangermeme

    model, references = copy.deepcopy(inputs.model).to(model_dtype), inputs.references.to(model_dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.as_tensor(
            tangermeme(model, inputs.X.to(model_dtype), references=references, device="cpu", **options)
        )


def _explain_by_option(name: str, inputs: Inputs) -> Tensor:
    """Return contributions of a float32 model with ``dtype=torch.bfloat16``, which two implementations have."""
    options: dict[str, Any] = {"raw_outputs": True, "dtype": torch.bfloat16}
    if name == "seqlight":
        raw = explain_with_seqlight(inputs._replace(model=copy.deepcopy(inputs.model).float()), **options)
    else:
        raw = explain_with_tangermeme(inputs, torch.float32, **options)
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
            "seqlight": lambda dtype, size, inputs=inputs: explain_with_seqlight(inputs, dtype=dtype, batch_size=size),
            "tangermeme": lambda dtype, size, inputs=inputs: explain_with_tangermeme(inputs, dtype, batch_size=size),
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
                with _with_threads(n):
                    exact = call(torch.float64, max(batches)).sum(dim=1) if exact is None else exact
                    found = call(dtype, size).sum(dim=1)
            except Exception as error:
                yield {**row, "error": _first_line(error)}
                continue
            first = found if first is None else first
            yield {**row, **deviation(found, exact), "same_bits": bool((found == first).all()), "error": ""}


@contextmanager
def _with_threads(n: int) -> Iterator[None]:
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
        exact = explain_with_seqlight(inputs).sum(dim=1)
        here = inputs._replace(model=model)
        # The others are compared with the first, bit by bit.
        places: dict[str, Callable[[], Tensor]] = {
            "one process, one thread": partial(_processes, here, 1, 1),
            "one process, two threads": partial(_processes, here, 1, 2),
            "two processes": partial(_processes, here, 2, 1),
        }
        if torch.cuda.is_available():
            places["CUDA"] = partial(explain_with_seqlight, here, device="cuda")
        else:
            rows.append({"network": name, "place": "CUDA", "error": "no device on this machine"})
        alone: Tensor | None = None
        for place, call in places.items():
            row: dict[str, Any] = {"network": name, "place": place, "error": ""}
            try:
                found = call()
                alone = found if alone is None else alone
                row |= {**deviation(found.sum(dim=1), exact), "same_bits": bool((found == alone).all())}
            except Exception as error:
                row["error"] = _first_line(error)
            rows.append(row)
    return pd.DataFrame(rows)


def _processes(inputs: Inputs, n: int, threads: int) -> Tensor:
    """Return attributions by :func:`seqlight.run` in so many processes, which talk by gloo."""
    from seqlight.lit.attribution_module import DeepLiftShapModule  # loads Lightning
    from seqlight.lit.run import run

    job = DeepLiftShapModule(inputs.model, references=dinucleotide_shuffle, n_shuffles=REFERENCES, random_state=0)
    with _with_threads(threads), tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
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
