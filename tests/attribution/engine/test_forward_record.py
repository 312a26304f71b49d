"""What the forward pass of a loss has computed: the prior's pass takes it over, and no number changes."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

import seqlight as sl
from seqlight.errors import UnsupportedOperation
from seqlight.lit import AttributionPrior, ForwardRecord
from seqlight.lit.penalties import Sparsity


def halves(X, n=1):
    return torch.full((len(X), n, *X.shape[1:]), 0.25, dtype=X.dtype)


PRIOR = AttributionPrior(Sparsity(), references=halves)


class Written(nn.Module):
    """Layers around a body that is given as a function of the module and what the first layer returned."""

    def __init__(self, body, before=lambda x: x):
        super().__init__()
        self.first, self.head, self.body, self.before = nn.Conv1d(4, 8, 5), nn.Linear(64, 2), body, before
        self.second, self.mu = nn.Linear(8, 8), nn.Parameter(torch.randn(8, 1))
        self.register_buffer("places", torch.randn(8, 8))

    def forward(self, x):
        return self.head(self.body(self, self.first(self.before(x))).flatten(1))


class Spread(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(24, 2)

    def forward(self, x):
        return self.head(x.flatten(1))


def stack(*layers):
    return nn.Sequential(nn.Conv1d(4, 8, 5), *layers, nn.Flatten(), nn.Linear(64, 2))


def dense(module, h):
    return torch.tanh(module.second(h.mT)).mT


def grown(module, h):
    """Return what differs in training from a place in the middle on, as stochastic depth does."""
    h = torch.relu(h + module.places)
    return dense(module, h) if module.training else h


def encoder(dropout):
    return nn.Sequential(nn.Flatten(2), Turned(), nn.TransformerEncoderLayer(4, 2, 8, dropout, batch_first=True))


class Turned(nn.Module):
    def forward(self, x):
        return x.mT


class Recurrent(nn.Module):
    def __init__(self, kind=nn.LSTM, **options):
        super().__init__()
        self.rows, self.head = kind(4, 3, batch_first=True, **options), nn.Linear(36, 2)

    def forward(self, x):
        return self.head(self.rows(x.mT)[0].flatten(1))


class Exchanged(nn.Module):
    """Two heads of the same numbers, one of which is used in training."""

    def __init__(self):
        super().__init__()
        self.first, self.head, self.other = nn.Conv1d(4, 8, 5), nn.Linear(64, 2), nn.Linear(64, 2)
        self.other.load_state_dict(self.head.state_dict())

    def forward(self, x):
        h = self.first(x).relu().flatten(1)
        return self.head(h) if self.training else self.other(h)


def saved(module, h):
    return checkpoint(dense, module, h, use_reentrant=False)


def saved_norm(module, h):
    return checkpoint(lambda h: dense(module, F.layer_norm(h, h.shape[-1:])), h, use_reentrant=False)


def with_hook():
    model = Written(dense)
    model.first.register_forward_hook(lambda module, args, y: 2 * y)
    return model


# Models, and how many of their convolutions and products of weights are not computed again, or None where nothing is
# said about that.
MODELS = {
    "no mode": (lambda: stack(nn.ReLU()), 2),
    "pooling": (lambda: stack(nn.GELU(), nn.MaxPool1d(3, 1, 1)), 2),
    "batch norm": (lambda: stack(nn.BatchNorm1d(8), nn.ReLU()), 1),
    "dropout": (lambda: stack(nn.ReLU(), nn.Dropout()), 1),
    "no dropout": (lambda: stack(nn.Dropout(0)), 2),
    "in place": (lambda: stack(nn.ReLU(inplace=True)), 0),
    "weight norm": (lambda: nn.Sequential(weight_norm(nn.Conv1d(4, 8, 5)), nn.Flatten(), nn.Linear(64, 2)), 2),
    "an image": (lambda: nn.Sequential(nn.Unflatten(1, (4, 1)), nn.Conv2d(4, 2, 5, padding=2), Spread()), 2),
    "a scaled input": (lambda: Written(dense, lambda x: (x - 0.25).contiguous()), 3),
    "a buffer": (lambda: Written(lambda self, h: dense(self, h + self.places)), 3),
    "made in the forward": (lambda: Written(lambda self, h: dense(self, h + torch.arange(8.0).to(h))), 3),
    "a branch of training": (lambda: Written(grown), 1),
    "a weight that is made": (lambda: Written(lambda self, h: dense(self, h * self.mu.exp())), 3),
    "another head of equal weights": (Exchanged, 1),
    "a checkpoint": (lambda: Written(saved), 3),
    "a norm in a checkpoint": (lambda: Written(saved_norm), None),
    "detached": (lambda: Written(lambda self, h: dense(self, h) + h.detach()), 2),
    "an encoder": (lambda: nn.Sequential(encoder(0.0), nn.Flatten(), nn.Linear(48, 2)), None),
    "an encoder with dropout": (lambda: nn.Sequential(encoder(0.1), nn.Flatten(), nn.Linear(48, 2)), None),
    "a recurrent network": (Recurrent, 14),  # a product for the input, and for each of twelve steps, and the head
    "a recurrent network of tanh": (lambda: Recurrent(nn.RNN), 14),
    "two recurrent layers": (lambda: Recurrent(num_layers=2), 1),
    "recurrent layers with dropout": (lambda: Recurrent(nn.GRU, num_layers=2, dropout=0.5), 0),
    "a hook": (with_hook, 3),
}


class Products(TorchDispatchMode):
    """Counts convolutions and products of matrices."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        self.count += name in ("convolution", "mm", "addmm", "bmm", "baddbmm")
        return func(*args, **(kwargs or {}))


def step(model, X, recorded, prior=PRIOR):
    """Return the outputs, the loss with the term, all gradients, and how many products the term took."""
    model = copy.deepcopy(model)
    torch.manual_seed(1)
    record = ForwardRecord(model) if recorded else None
    if record is None:
        outputs = model(X)
    else:
        with record:
            outputs = model(X)
    with Products() as products:
        term = prior(model, X, record)
    loss = outputs.square().mean() + term
    loss.backward()
    return outputs, loss, [one.grad for one in model.parameters()], products.count


def check(model, X, prior=PRIOR):
    """Compare a step with a record to one without; return how many products it saves."""
    outputs, loss, grads, products = step(model, X, recorded=False, prior=prior)
    same_outputs, same_loss, same_grads, fewer = step(model, X, recorded=True, prior=prior)
    assert torch.equal(outputs, same_outputs)
    torch.testing.assert_close(same_loss, loss, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(same_grads, grads, rtol=1e-9, atol=1e-12)
    return products - fewer


@pytest.fixture
def X():
    return sl.random_one_hot((3, 4, 12), random_state=0).double()


@pytest.mark.filterwarnings("ignore::seqlight.errors.ConvergenceWarning")  # of what is detached
@pytest.mark.parametrize("name", MODELS)
def test_a_step_is_the_same_with_fewer_products(X, name):
    torch.manual_seed(0)
    make, saved = MODELS[name]
    found = check(make().double().train(), X)
    assert saved is None or found == saved


LAYERS = {
    "linear": lambda: nn.Linear(12, 12),
    "relu": nn.ReLU,
    "relu in place": lambda: nn.ReLU(inplace=True),
    "norm": lambda: nn.LayerNorm(12),
    "batch norm": lambda: nn.BatchNorm1d(4),
    "frozen": lambda: nn.BatchNorm1d(4).eval(),
    "dropout": lambda: nn.Dropout(0.3),
    "pool": lambda: nn.MaxPool1d(3, 1, 1),
    "softmax": lambda: nn.Softmax(-1),
    "sigmoid": nn.Sigmoid,
}


@settings(max_examples=15)
@given(st.lists(st.sampled_from([*LAYERS]), min_size=1, max_size=6), st.integers(1, 2))
def test_any_stack_of_layers_has_the_same_step(names, n):
    torch.manual_seed(0)
    model = nn.Sequential(*(LAYERS[name]() for name in names), nn.Flatten(), nn.Linear(48, 2)).double()
    X = sl.random_one_hot((3, 4, 12), random_state=1).double()
    prior = AttributionPrior(Sparsity(), references=halves, n_references=n)
    try:
        check(model, X, prior)
    except UnsupportedOperation:  # what relu returned, say, is written to in place
        for recorded in (False, True):
            with pytest.raises(UnsupportedOperation):
                step(model, X, recorded, prior)


def test_further_priors_take_it_over_too(X):
    torch.manual_seed(0)
    model, counts = MODELS["no mode"][0]().double(), []
    with ForwardRecord(model) as record:
        model(X)
    for _ in range(2):
        with Products() as products:
            PRIOR(model, X, record)
        counts.append(products.count)
    assert counts[0] == counts[1] == step(model, X, recorded=False)[-1] - 2


@pytest.mark.reliability(
    "Attributions to train with",
    "a record of a forward pass of other sequences, under autocast, of older weights, or of a compiled model",
    "the prior computes all that it needs itself, with the same result",
)
def test_a_record_of_something_else_is_not_used(X):
    torch.manual_seed(0)
    model = MODELS["no mode"][0]().double()
    expected, products = PRIOR(model, X), step(model, X, recorded=False)[-1]

    def others():
        with ForwardRecord(model) as record:
            model(X.flip(0))
        yield record
        with torch.autocast("cpu", torch.bfloat16), ForwardRecord(model) as record:
            model(X)
        yield record
        with torch.no_grad(), ForwardRecord(model) as record:
            model(X)
        yield record
        with ForwardRecord(model) as record:
            model(X)
        with torch.no_grad():
            for one in model.parameters():
                one.copy_(one.clone())
        yield record
        with ForwardRecord(torch.compile(model, backend="eager")) as record:
            model(X)
        yield record

    for record in others():
        with Products() as counted:
            found = PRIOR(model, X, record)
        torch.testing.assert_close(found, expected)
        assert counted.count == products


@pytest.mark.filterwarnings("ignore::seqlight.errors.ConvergenceWarning")
def test_what_is_drawn_in_the_forward_is_drawn_again(X):
    def body(self, h):
        return h * (1 + torch.randn_like(self.mu)) + F.dropout(h, 0.5, training=False)

    torch.manual_seed(0)
    assert check(Written(body).double(), X) == 1


def written(write, rest=lambda self, h: h):
    """Return a module whose body writes where it may, in training or not, behind what others have seen of it."""

    def body(self, h):
        y = torch.tanh(h - self.places) + self.mu
        y = write(self, y) if write is not None else y
        return rest(self, y)

    return Written(body)


def in_evaluation(write):
    """Return a function that writes to a tensor in evaluation alone, where it is what the loss has, too."""
    return lambda self, y: y if self.training else write(y)


def in_training(write):
    """Return a function that changes a module after its forward pass in training."""

    def changed(self, y):
        if self.training:
            write(self)
        return y

    return changed


def filled(self, y):
    self.places.fill_(1.0 if self.training else 3.0)
    return y * self.places


def new_places(self):
    self.places.data = 2 * self.places + 1


# What is written to, by means that a version of a tensor tells of, and by such that it does not tell of.
WRITERS = {
    "relu behind dropout": lambda self, y: F.relu(F.dropout(y, 0.5, self.training), inplace=True),
    "a sum behind dropout": lambda self, y: F.dropout(y, 0.5, self.training).add_(self.mu),
    "a view": in_evaluation(lambda y: y.flatten(1)[:, 0].mul_(2).sum() + y),
    "by out=": in_evaluation(lambda y: y + torch.no_grad()(torch.mul)(y, 2, out=y).detach()),
    "a buffer in each pass": filled,
    "a buffer by .data": in_training(lambda self: self.places.data.mul_(2).add_(1)),
    "a buffer's .data": in_training(new_places),
    "a buffer by numpy": in_training(lambda self: self.places.numpy().__iadd__(1)),
    "a weight by .data": in_training(lambda self: self.first.weight.data.mul_(0.5)),
}


@pytest.mark.reliability(
    "Attributions to train with",
    "models that write in place to what the loss has computed, or to buffers and weights behind autograd's back",
    "the prior computes that again: value and gradients are those without a record",
)
@pytest.mark.filterwarnings("ignore::seqlight.errors.ConvergenceWarning")  # of what is detached
@pytest.mark.parametrize("name", WRITERS)
def test_what_is_written_to_is_not_taken_over(X, name):
    torch.manual_seed(0)
    check(written(WRITERS[name]).double().train(), X)
