"""The study of numerics, on implementations whose deviations are known."""

import pandas as pd
import pytest
import torch

from seqlight.studies.implementations.implementation import Implementation
from seqlight.studies.suites import numerics
from seqlight.studies.suites.numerics import NETWORKS


def exact(model, X, references, args, target, random_state):
    drawn = torch.Generator().manual_seed(0)
    return torch.randn(len(X), references.shape[1], X.shape[2], dtype=torch.float64, generator=drawn)


def rounded(model, X, *others):
    return exact(model, X, *others).to(X.dtype)


def refusing(model, X, *others):
    raise RuntimeError("no\nmore")


def implementation(name, function):
    return Implementation(name=name, title=name, package="seqlight", contributions=function)


def test_deviation_of_known_contributions():
    exact = torch.tensor([[3.0, -3, 3, -3, 3, -3, 3, -3, 3, 3]], dtype=torch.float64)
    found = exact + torch.tensor([0.0] * 9 + [3.0])
    numbers = numerics.deviation(found.float(), exact)
    assert numbers["rms"] == pytest.approx(0.1**0.5)
    assert numbers["largest"] == 1
    with pytest.raises(ArithmeticError, match="not finite"):
        numerics.deviation(exact * torch.inf, exact)
    assert numerics.deviation(exact, exact) == {"rms": 0, "largest": 0, "top_overlap": 1}


@pytest.fixture(scope="module")
def inputs():
    return numerics.make_inputs(NETWORKS["convolutional"], rows=2, references=2)


def test_inputs_are_always_the_same(inputs):
    before = torch.random.get_rng_state()
    again = numerics.make_inputs(NETWORKS["convolutional"], rows=2, references=2)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(again.references, inputs.references)
    for one, other in zip(again.model.parameters(), inputs.model.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature:UserWarning")
def test_dtypes_of_known_implementations():
    known = [implementation("exact", exact), implementation("rounded", rounded), implementation("refusing", refusing)]
    table = numerics.dtype_table({"one": NETWORKS["convolutional"]}, known)
    table = table.set_index(["implementation", "setting"])
    assert (table.loc["exact", "rms"] == 0).all()
    # Half a unit in the last place at most, and less in the mean: 8, 11 and 24 bits.
    for setting, bits in (("bfloat16", 8), ("float16", 11), ("float32", 24)):
        rms = table.loc[("rounded", setting), "rms"]
        assert 2.0 ** -(bits + 2) < rms < 2.0**-bits
    assert table.loc[("refusing", "float64"), "error"] == "RuntimeError: no"


def test_a_setting_leaves_the_next_one_what_it_was(inputs):
    pytest.importorskip("tangermeme")
    weights = [one.clone() for one in inputs.model.parameters()]
    numerics.explain_with_tangermeme(inputs, torch.bfloat16)
    list(numerics._dtype_rows(implementation("exact", exact), inputs))
    for one, other in zip(inputs.model.parameters(), weights, strict=True):
        assert torch.equal(one, other)


@pytest.mark.reliability(
    "attribution",
    "attributions in float32, in batches of another size, and of a model in half precision, against float64",
    "they differ by what rounding does, and a model in half precision is computed in float32",
)
def test_ours_in_float32_and_in_half_precision():
    table = numerics.dtype_table({"one": NETWORKS["GELU, LayerNorm"]}, ["seqlight"]).set_index("setting")
    assert table.loc["float32", "largest"] < 1e-3
    # The weights are rounded to 8 bits, and nothing else is.
    assert table.loc["bfloat16", "top_overlap"] > 0.9
    # An outer autocast does not count, the option does.
    assert table.loc["float32, in torch.autocast", "rms"] == table.loc["float32", "rms"]
    assert table.loc[numerics.BY_OPTION, "rms"] > 100 * table.loc["float32", "rms"]


@pytest.mark.reliability(
    "attribution",
    "two inputs of a pooling window that differ by no more than float32 rounds",
    "the first of them is credited, and contributions move by less than a thousandth",
)
def test_ours_where_maxima_are_nearly_equal():
    table = numerics.dtype_table({"one": NETWORKS["convolutional"]}, ["seqlight"]).set_index("setting")
    # One window in 38,000 has such maxima.
    assert 1e-5 < table.loc["float32", "rms"] < 1e-3
    assert table.loc[numerics.BY_OPTION, "top_overlap"] > 0.95


def test_batches_of_known_functions():
    exact = torch.arange(40.0, dtype=torch.float64).reshape(2, 20)

    def call(dtype, size):
        if size == 2:
            raise ValueError("two")
        # Batches of one have an error of one unit everywhere.
        return (exact + (size == 1)).to(dtype)[:, None]

    rows = list(numerics._batch_rows(call, torch.float64, (1, 3, 2), (1,)))
    scale = exact.square().mean().sqrt()
    assert rows[0]["largest"] == pytest.approx(float(1 / scale))
    assert rows[1]["largest"] == 0
    assert [row.get("same_bits") for row in rows] == [True, False, None]
    assert rows[2]["error"] == "ValueError: two"


def test_ours_is_the_same_in_batches():
    table = numerics.batch_table({"one": NETWORKS["convolutional, coarse weights"]}, batches=(7, 32), threads=(1,))
    ours = table[table["implementation"] == "seqlight"]
    assert ours.loc[ours["dtype"] == "float64", "largest"].max() < 1e-12
    assert ours.loc[ours["dtype"] == "float32", "largest"].max() < 1e-3


def test_a_place_that_is_not_there_is_a_row(monkeypatch, inputs):
    monkeypatch.setattr(
        numerics, "_processes", lambda here, n, threads: numerics.explain_with_seqlight(here) + (n - 1) * 1e-7
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    table = numerics.place_table({"one": NETWORKS["convolutional, coarse weights"]}).set_index("place")
    assert table.loc["CUDA", "error"] == "no device on this machine"
    assert table["same_bits"].tolist()[1:] == [True, True, False]
    assert table.loc["two processes", "largest"] < 1e-3


def test_the_suite_names_its_tables(monkeypatch):
    for name in ("dtype_table", "batch_table", "place_table"):
        monkeypatch.setattr(numerics, name, lambda: pd.DataFrame())
    assert set(numerics.SUITE.tables()) == {"dtypes", "batches", "places"}
