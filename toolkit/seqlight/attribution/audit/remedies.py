"""What to say of an operation: how it was treated, and what to do where it loses something."""

from __future__ import annotations

from collections.abc import Collection

from seqlight.attribution.audit.hidden_dependence import NUMBERS, Origin, is_random

# In the order in which they tell more.
TREATMENTS = {
    "Integrated": "integrated",
    "Piecewise": "integrated",
    "Compare": "linear",
    "Overriding": "yours",
    "Rescale": "rescale",
    "Smooth": "rescale",
    "MaxPool": "cross-maximum",
    "Selection": "cross-maximum",
    "Product": "half way",
    "linear": "linear",
    "refused": "refused",
    "not finite": "not finite",
}
COMPARISONS = frozenset(
    """
    gt lt ge le eq ne greater less greater_equal less_equal equal not_equal isclose isfinite isnan isinf
    logical_and logical_or logical_not logical_xor and or xor invert bitwise_and bitwise_or bitwise_not bool
    """.split()
)
INDICES = frozenset("argmax argmin argsort argwhere nonzero searchsorted bucketize max min sort topk mode".split())
CONVERSIONS = frozenset("to type int long short byte char one_hot type_as".split())


def treatment(manners: Collection[str]) -> str:
    """Return in a few words how a call was met whose parts were met in these manners.

    >>> treatment(["linear", "Rescale"]), treatment(["Rescale", "Product"]), treatment(["linear"])
    ('rescale', 'in parts', 'linear')
    """
    words = {TREATMENTS.get(one, "closed form") for one in manners}
    for telling in ("integrated", "yours"):
        if telling in words:
            return telling
    words -= {"linear"}
    return "in parts" if len(words) > 1 else next(iter(words), "linear")


def of_hidden(origin: Origin | None) -> str:
    """Return what an operation has in it that no gradient sees, and what to do about it."""
    if origin is not None and is_random(origin.operation):
        return f"In it is what `{origin.operation}`{_within(origin.module)} drew. {_remedy(origin)}"
    if origin is None:
        return (
            "It takes something that differs between a sequence and its reference and comes from no call of PyTorch "
            "on the input: random numbers, numpy, or what the model remembers of an earlier call. "
            "Keep it a tensor, or leave it out in evaluation mode."
        )
    return f"In it is what `{origin.operation}`{_within(origin.module)} made of the input. {_remedy(origin)}"


def of_loss(how: str, operation: str = "") -> str:
    """Return what to do about an operation that loses something though it takes nothing hidden."""
    if is_random(operation):
        return of_draw()
    if how == "yours":
        return "Your rule does not add up: leave it out of additional_nonlinear_ops to have ours."
    return "Nothing that it takes is hidden, so our rule is at fault: please report it."


def of_draw() -> str:
    """Return what to do about an operation that draws numbers itself."""
    return "It draws random numbers, others for a sequence than for its reference: leave it out in evaluation mode."


def not_finite(row: int, what: str, where: tuple[str, str] | None) -> str:
    """Return what to do about a model whose output is no number for a sequence, or for its reference.

    >>> not_finite(0, "", ("log", "1 (Log)"))[:71]
    "the model's output is not a finite number for sequence 0 (from `log` in"
    """
    made = f" (from `{where[0]}`{_within(where[1])} on)" if where else ""
    return (
        f"the model's output is not a finite number for {what}sequence {row}{made}: look for NaN in its weights, "
        "the log of 0, a division by 0, or numbers too large for their dtype."
    )


def no_finite_gradient(row: int) -> str:
    """Return what to do about an operation on whose way back there are no numbers, though there are on the way."""
    return (
        f"The gradient that goes back through it is not a finite number for sequence {row}: look for the root or the "
        "log of 0, a division by 0, or numbers too large for their dtype."
    )


NOT_FINITE = "not finite"
CONSTANT = "the output does not depend on the sequence: it is the same for its reference."
OF_RANDOM = "Random numbers are others for a sequence than for its reference: leave them out in evaluation mode."


def of_course(met: str, origin: Origin | None) -> str:
    """Return what to do about a model that takes another course for another input."""
    if origin is not None and is_random(origin.operation):
        return f"The reference meets {met}, after what `{origin.operation}`{_within(origin.module)} drew. {OF_RANDOM}"
    why = f" after `{origin.operation}`{_within(origin.module)} made a number of the input" if origin else ""
    return (
        f"The reference meets {met}{why}: a model whose course depends on its input, or on chance, cannot be "
        "explained. Compute both branches, and choose with torch.where(condition, a, b)."
    )


UNSEEN = (
    "No operation that was seen loses this: values changed behind PyTorch's back (numpy memory), "
    "a backward hook that changes gradients, or a backward pass of your own that is not the derivative."
)


def _within(module: str) -> str:
    return f" in {module}" if module else ""


def _remedy(origin: Origin) -> str:
    name = origin.operation
    if not origin.recording:
        return "It runs under torch.no_grad(), where no gradient sees it: take it out of there."
    if is_random(name):
        return OF_RANDOM
    if name in ("detach", "data"):
        return "It has no gradient from there on: leave that out."
    if name in COMPARISONS:
        return (
            "A comparison has no gradient: torch.sign(x).clamp(min=0) is the same as (x > 0) and has a rule. "
            "Where the mask of x is for x itself, x * (x > 0) and torch.where(x > 0, x, 0) have one too."
        )
    if name in INDICES:
        return "An index has no gradient: take the values, with amax or max(dim).values, or weigh them with a softmax."
    if name.strip("_") in {one.strip("_") for one in NUMBERS}:
        return "A number of Python has no gradient: keep it a tensor."
    if name in CONVERSIONS:
        return "Integers and booleans have no gradient: multiply the one-hot characters with a matrix instead."
    return "It has no gradient from there on: write it in operations that have one."
