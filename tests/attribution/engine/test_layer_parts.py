"""Parts of the ledger: branches of sums and heads of attention, against models that are split where the parts are."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import seqlight as sl
from seqlight.attribution.engine.layer_rows import MOST_SUMS
from seqlight.attribution.engine.multiplier_reader import MultiplierReader
from user_operations import by_numpy

LENGTH, WIDTH, HEADS = 16, 8, 4


def explain(model, X, layers=True, **settings):
    settings = {"device": "cpu", "random_state": 0, "n_shuffles": 3, "references": sl.shuffle, **settings}
    return sl.attribute(model, X, layers=layers, **settings)


def total(found, name):
    return found.layer_totals[..., found.layer_names.index(name)]


@pytest.fixture
def X():
    return sl.random_one_hot((3, 4, LENGTH), random_state=0)


class Sum(nn.Module):
    """A trunk with a branch; if it is split, each summand goes through a module of its own."""

    def __init__(self, add, split=False):
        super().__init__()
        torch.manual_seed(0)
        self.trunk, self.branch = nn.Conv1d(4, 5, 3, padding=1), nn.Conv1d(5, 5, 3, padding=1)
        self.head = nn.Linear(5 * LENGTH, 2)
        self.one, self.other = (nn.Flatten(), nn.Flatten()) if split else (nn.Identity(), nn.Identity())
        self.add, self.split = add, split
        self.double()

    def forward(self, x):
        h = torch.tanh(self.trunk(x)) * 1.0  # so that nothing else needs what is overwritten
        f = torch.relu(self.branch(h * 1.0))
        y = self.one(h) + self.other(f) if self.split else self.add(h, f).flatten(1)
        return torch.tanh(self.head(y))


def add_in_place(a, b):
    a += b
    return a


ADDS = {
    "+": lambda a, b: a + b,
    "torch.add": torch.add,
    "by keyword": lambda a, b: torch.add(input=a, other=b),
    "+=": add_in_place,
    "add_": lambda a, b: a.add_(b),
    "method": lambda a, b: a.add(b),
    "aten": torch.ops.aten.add.Tensor,
    "times a half": lambda a, b: torch.add(a, 2 * b, alpha=0.5),
}


@pytest.mark.parametrize("add", ADDS.values(), ids=ADDS)
def test_branches_are_those_of_a_model_with_a_module_for_each(X, add):
    found = explain(Sum(add), X, target=[0, 1])
    oracle = explain(Sum(None, split=True), X, ["one", "other"], target=[0, 1])
    for k, name in enumerate(("one", "other")):
        torch.testing.assert_close(total(found, f": branch {k}"), total(oracle, name), rtol=0, atol=1e-13)
    both = total(found, ": branch 0") + total(found, ": branch 1")
    torch.testing.assert_close(both, found.outputs.unsqueeze(-1) - found.reference_outputs, rtol=0, atol=1e-13)
    without = explain(Sum(add), X, None, target=[0, 1])
    assert torch.equal(found.attributions, without.attributions)


@pytest.mark.parametrize("settings", [{"batch_size": 1}, {"batch_size": 2}, {"batch_size": 50}, {"n_shuffles": 1}])
def test_batches_do_not_matter(X, settings):
    wanted, found = explain(Sum(torch.add), X), explain(Sum(torch.add), X, **settings)
    n = found.layer_totals.shape[1]
    torch.testing.assert_close(found.layer_totals, wanted.layer_totals[:, :n], rtol=0, atol=1e-13)


class Block(nn.Module):
    """Two sums one after the other."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv1d(5, 5, 3, padding=1), nn.Sequential(nn.Conv1d(5, 5, 1), nn.Tanh())

    def forward(self, x):
        x = x + torch.relu(self.one(x))
        return x + self.two(x)


class InPlace(Block):
    """The same, overwritten each time."""

    def forward(self, x):
        x = x * 1.0
        x += torch.relu(self.one(x * 1.0))
        x += self.two(x * 1.0)
        return x


def test_sums_that_are_overwritten(X):
    def model(kind):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv1d(4, 5, 3), kind(), nn.Flatten(), nn.Linear(5 * LENGTH - 10, 1), nn.Tanh()
        ).double()

    wanted, found = explain(model(Block), X), explain(model(InPlace), X)
    for name in ("1: sum 0, branch 1", "1: sum 1, branch 0", "1: sum 1, branch 1 (1.two)", "1"):
        torch.testing.assert_close(total(found, name), total(wanted, name), rtol=0, atol=1e-13)


def test_parts_are_named_by_modules_and_numbered(X):
    torch.manual_seed(0)
    block = Block()
    body = nn.Conv1d(4, 5, 3, padding=1), block, nn.ReLU(), block, nn.Flatten(), nn.Linear(5 * LENGTH, 1), nn.Tanh()
    found = explain(nn.Sequential(*body).double(), X)
    names = [name for name in found.layer_names if ":" in name]
    assert names == [
        *("1#0: sum 0, branch 0 (0)", "1#0: sum 0, branch 1", "1#0: sum 1, branch 0", "1#0: sum 1, branch 1 (1.two)"),
        *("1#1: sum 0, branch 0 (2)", "1#1: sum 0, branch 1", "1#1: sum 1, branch 0", "1#1: sum 1, branch 1 (1.two)"),
    ]
    for call in (0, 1):
        parts = [total(found, name) for name in names if name.startswith(f"1#{call}: sum 1")]
        torch.testing.assert_close(sum(parts), total(found, f"1#{call}"), rtol=0, atol=1e-13)
    table = found.ledger
    rows = table[table["part"] != ""]
    assert rows["layer"].tolist() == ["1#0"] * 4 + ["1#1"] * 4
    assert rows["part"].tolist()[3] == "sum 1, branch 1 (1.two)"
    assert table["complete"][table["layer"].isin(["0", "2", "4"])].all()
    assert not rows["complete"].any()


class Scan(nn.Module):
    """A block with a loop over so many steps, and a sum before and after it."""

    def __init__(self, steps):
        super().__init__()
        torch.manual_seed(0)
        self.steps, self.gate, self.out = steps, nn.Conv1d(5, 5, 1), nn.Conv1d(5, 5, 3, padding=1)

    def forward(self, x):
        h = x + self.gate(x)
        a, b = torch.sigmoid(h), torch.tanh(h)
        for _ in range(self.steps):
            b = a * 0.5 + b * 0.5
        return x + self.out(b)


def scan(steps):
    torch.manual_seed(0)
    body = nn.Conv1d(4, 5, 3, padding=1), Scan(steps), nn.Flatten(), nn.Linear(5 * LENGTH, 1), nn.Tanh()
    return nn.Sequential(*body).double()


@pytest.mark.parametrize("n", [1, 3])
def test_the_sums_of_a_loop_are_left_out(X, n, monkeypatch):
    read = []
    follow = MultiplierReader.follow
    monkeypatch.setattr(MultiplierReader, "follow", lambda *given: read.append(follow(*given)))
    found = explain(scan(MOST_SUMS + 1), X, n_shuffles=n)
    branches = "0, branch 0 (0)", "0, branch 1 (1.gate)", "1, branch 0 (0)", "1, branch 1 (1.out)"
    wanted = [f"1: sum {one}" for one in branches]
    assert [name for name in found.layer_names if ":" in name] == wanted
    parts = sum(total(found, name) for name in wanted[2:])
    torch.testing.assert_close(parts, total(found, "1"), rtol=0, atol=1e-13)
    before = len(read)
    assert torch.equal(found.attributions, explain(scan(MOST_SUMS + 1), X, None, n_shuffles=n).attributions)
    read.clear()
    assert explain(scan(5 * MOST_SUMS), X, n_shuffles=n).layer_names == found.layer_names
    assert len(read) == before  # what is left out takes no time
    few = explain(scan(MOST_SUMS), X, n_shuffles=n)
    assert sum(":" in name for name in few.layer_names) == 2 * (MOST_SUMS + 2)


def test_what_is_no_residual_sum_has_no_branches(X):
    class Model(nn.Module):
        def forward(self, x):
            y = self.body(x) + 1.0 + torch.ones(5, LENGTH) + x.mean(1, keepdim=True)
            return (y.sum(1) + by_numpy(y[:, 0])).tanh().mean(-1)

    model = Model()
    model.body = nn.Conv1d(4, 5, 3, padding=1)
    assert explain(model, X).layer_names == ("body",)


class Attention(nn.Module):
    """Self-attention; if it is split, each head goes through a module of its own."""

    def __init__(self, kind):
        super().__init__()
        torch.manual_seed(0)
        self.up, self.kind = nn.Linear(4, WIDTH), kind
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.head = nn.Linear(WIDTH * LENGTH, 2)
        self.heads = nn.ModuleList(nn.Identity() for _ in range(HEADS))
        self.double()

    def forward(self, x):
        h = self.up(x.mT) * torch.linspace(-1, 1, LENGTH, device=x.device).double().unsqueeze(1)
        if self.kind in ("with weights", "without"):
            h = self.attention(h, h, h, need_weights=self.kind == "with weights")[0]
        else:
            packed = F.linear(h, self.attention.in_proj_weight, self.attention.in_proj_bias)
            q, k, v = packed.unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
            mixed = self.mix(q, k, v)
            if self.kind == "split":
                mixed = torch.stack([one(mixed[:, i]) for i, one in enumerate(self.heads)], dim=1)
            h = self.attention.out_proj(mixed.transpose(1, 2).flatten(2))
        return torch.tanh(self.head(h.flatten(1)))

    def mix(self, q, k, v):
        return F.scaled_dot_product_attention(q, k, v)


@pytest.mark.parametrize("settings", [{}, {"batch_size": 2}, {"n_shuffles": 1}])
@pytest.mark.parametrize(("kind", "layer"), [("with weights", "attention"), ("without", "attention"), ("by hand", "")])
def test_heads_are_those_of_a_model_with_a_module_for_each(X, kind, layer, settings):
    found = explain(Attention(kind), X, target=[0, 1], **settings)
    oracle = explain(Attention("split"), X, [f"heads.{i}" for i in range(HEADS)], target=[0, 1], **settings)
    totals = torch.stack([total(found, f"{layer}: head {i}") for i in range(HEADS)], dim=-1)
    torch.testing.assert_close(totals, oracle.layer_totals, rtol=0, atol=1e-13)
    if kind != "by hand":
        torch.testing.assert_close(totals.sum(-1), total(found, "attention[0]"))
    differences = found.outputs.unsqueeze(-1) - found.reference_outputs
    torch.testing.assert_close(totals.sum(-1), differences, rtol=0, atol=1e-13)


WRITTEN = {
    "matmul": lambda weights, v: torch.matmul(weights, v),
    "@": lambda weights, v: F.dropout(weights, training=False) @ v,
    "einsum": lambda weights, v: torch.einsum("bhij,bhjd->bhid", weights, v),
    "operands in a list": lambda weights, v: torch.einsum("bhij,bhjd->bhid", [weights, v]),
}


@pytest.mark.parametrize("product", WRITTEN.values(), ids=WRITTEN)
def test_heads_of_attention_that_is_written_out(X, product):
    class Written(Attention):
        def mix(self, q, k, v):
            scores = q @ k.mT / q.shape[-1] ** 0.5
            return product(scores.softmax(dim=-1), v)

    found = explain(Written("by hand"), X)
    wanted = explain(Attention("by hand"), X)
    for i in range(HEADS):
        name = f": head {i}"
        torch.testing.assert_close(total(found, name), total(wanted, name), rtol=0, atol=1e-13)


def test_both_strands_in_one_batch_have_heads(X):
    class BothStrands(Attention):
        def forward(self, x):
            return super().forward(torch.cat([x, x.flip(1, 2)])).unflatten(0, (2, -1)).mean(0)

    found = explain(BothStrands("with weights"), X)
    totals = sum(total(found, f"attention: head {i}") for i in range(HEADS))
    torch.testing.assert_close(totals, found.outputs.unsqueeze(-1) - found.reference_outputs, rtol=0, atol=1e-13)


def test_two_attentions_in_one_forward_are_told_apart(X):
    class Twice(Attention):
        def forward(self, x):
            h = self.up(x.mT).unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for _ in range(2):
                h = F.scaled_dot_product_attention(h, h, h)
            return self.head(h.transpose(1, 2).flatten(1))

    names = explain(Twice(""), X).layer_names
    assert names[1:3] == (": attention 0, head 0", ": attention 0, head 1")
    assert len(names) == 2 + 2 * HEADS


def test_a_model_in_float32(X):
    wanted = explain(Sum(torch.add), X)
    found = explain(Sum(torch.add).float(), X)
    torch.testing.assert_close(found.layer_totals.double(), wanted.layer_totals, rtol=0, atol=1e-5)


@pytest.mark.reliability(
    "attribution", "the ledger of a model with a residual sum fails half-way", "its hooks are gone"
)
def test_nothing_is_left_after_an_error(X):
    model = Sum(lambda a, b: (a + b)[..., 1:])
    with pytest.raises(RuntimeError):
        explain(model, X)
    assert not nn.modules.module._global_forward_hooks
    assert not nn.modules.module._global_forward_pre_hooks


class Apart(nn.Module):
    """A model whose first output alone depends on another model."""

    def __init__(self, model):
        super().__init__()
        self.model, self.other = model, nn.Linear(4 * LENGTH, 1).double()

    def forward(self, x):
        return torch.cat([self.model(x)[:, :1], self.other(x.flatten(1))], dim=1)


@pytest.mark.usefixtures("pretend")
@pytest.mark.parametrize(
    "make", [lambda: Sum(torch.add), lambda: Attention("with weights"), lambda: Attention("by hand")]
)
def test_the_ledger_on_an_accelerator(X, make):
    model = Apart(make())
    wanted, found = (explain(model, X, target=[0, 1], device=device) for device in ("cpu", "pretend"))
    assert found.layer_names == wanted.layer_names
    torch.testing.assert_close(found.layer_totals, wanted.layer_totals, rtol=0, atol=1e-12)
    assert not total(found.of_target(1), "model").any()
