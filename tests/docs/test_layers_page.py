"""The page about layers, ``layers.md``: its blocks run, and say what the page says."""

import pytest
import torch

from .conftest import difference


@pytest.fixture(scope="module")
def page(run_page):
    return run_page("layers.md")


@pytest.fixture(scope="module")
def names(page):
    return page[0].names


def test_the_picture_is_that_shown(page):
    assert difference(page[1] / "filters.png") < 0.05


def test_what_the_page_says_of_its_contributions(names):
    assert names["found"].layers["1"].shape == (8, 16, 100)
    assert torch.allclose(names["sums"], names["found"].differences, atol=1e-5)


def test_what_the_page_says_of_its_ledger(names):
    parts = names["ledger"][names["ledger"]["part"] != ""]
    table = names["ledger"][names["ledger"]["part"] == ""].set_index("layer")
    assert table["complete"][["0", "1", "2", "3", "6"]].all()
    assert not table["complete"][["2.branch", "3.branch"]].any()
    assert parts["part"].tolist() == [f"branch {k}" for k in ("0 (1)", "1 (2.branch)", "0 (2)", "1 (3.branch)")]
    shares = parts.groupby("layer")["share"].sum()
    assert shares.tolist() == pytest.approx([1, 1], abs=1e-4)
    assert names["heads"]["part"].tolist() == ["head 0", "head 1", "head 2", "head 3"]
    whole = names["looked"].query("layer == 'attention[0]'")["share"]
    assert names["heads"]["share"].sum() == pytest.approx(float(whole.iloc[0]), abs=1e-4)


def test_what_the_page_says_of_each_sequence(names):
    explained, results = names["explained"], names["results"]
    k = explained.layer_names.index("2.branch")
    weights = explained.differences.abs()
    share = float((names["shares"][:, k] * weights).sum() / weights.sum())
    wanted = names["ledger"].query("layer == '2.branch' and part == ''")["share"].item()
    assert share == pytest.approx(wanted, abs=1e-5)
    assert names["shares_of_run"]["layer"].tolist() == names["ledger"]["layer"].tolist()
    assert [name for name in results if name.startswith("total_")] == [f"total_{one}" for one in explained.layer_names]


def test_the_variant_acts_through_the_planted_filter(names):
    filters, effect = names["filters"], names["effect"]
    assert filters.abs().argmax() == 3
    assert torch.allclose(filters.sum(), effect.differences[0], atol=1e-5)
