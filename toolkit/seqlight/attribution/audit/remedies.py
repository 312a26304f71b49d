"""Words for an operation: how it was treated, and what to do if it loses something."""

from __future__ import annotations

from collections.abc import Collection

from seqlight.attribution.audit.hidden_dependence import NUMBER_FUNCTIONS, Origin, is_random

# The treatments, by the class of the rule; all other rules are closed forms.
TREATMENTS = {
    "Integrated": "integrated",
    "Piecewise": "integrated",
    "Compare": "linear",
    "UserRule": "yours",
    "Rescale": "rescale",
    "SmoothActivation": "rescale",
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


def treatment(rules: Collection[str]) -> str:
    """Return the treatment of a call whose parts were explained by these rules.

    >>> treatment(["linear", "Rescale"]), treatment(["Rescale", "Product"]), treatment(["linear"])
    ('rescale', 'in parts', 'linear')
    """
    words = {TREATMENTS.get(one, "closed form") for one in rules}
    for decisive in ("integrated", "yours"):
        if decisive in words:
            return decisive
    words -= {"linear"}
    return "in parts" if len(words) > 1 else next(iter(words), "linear")


def hidden_note(origin: Origin | None) -> str:
    """Return which hidden operand an operation takes, and what to do about it."""
    if origin is not None and is_random(origin.operation):
        return f"It takes what `{origin.operation}`{_in_module(origin.module)} drew. {_remedy(origin)}"
    if origin is None:
        return (
            "It takes something that differs between a sequence and its reference and comes from no PyTorch call on "
            "the input: random numbers, NumPy, or what the model remembers of an earlier call. "
            "Keep it a tensor, or leave it out in evaluation mode."
        )
    return f"It takes what `{origin.operation}`{_in_module(origin.module)} computed from the input. {_remedy(origin)}"


def loss_note(how: str, operation: str = "") -> str:
    """Return what to do about an operation that loses something although none of its operands is hidden."""
    if is_random(operation):
        return random_note()
    if how == "yours":
        return "Your rule does not add up: leave it out of additional_nonlinear_ops to use the built-in one."
    return "None of its operands is hidden, so the built-in rule is at fault: please report this."


def random_note() -> str:
    """Return what to do about an operation that draws numbers itself."""
    return (
        "It draws random numbers, which differ between a sequence and its reference: leave it out in evaluation mode."
    )


def not_finite_note(row: int, what: str, where: tuple[str, str] | None) -> str:
    """Return what to do about a model whose output is not finite for a sequence, or for its reference.

    >>> not_finite_note(0, "", ("log", "1 (Log)"))[:71]
    "the model's output is not a finite number for sequence 0 (from `log` in"
    """
    made = f" (from `{where[0]}`{_in_module(where[1])} on)" if where else ""
    return (
        f"the model's output is not a finite number for {what}sequence {row}{made}: look for NaN in its weights, "
        "a log of 0, a division by 0, or numbers too large for their dtype."
    )


def no_finite_gradient_note(row: int) -> str:
    """Return what to do about an operation with a finite result whose gradient is not finite."""
    return (
        f"The gradient that goes back through it is not a finite number for sequence {row}: look for a square root "
        "or log of 0, a division by 0, or numbers too large for their dtype."
    )


NOT_FINITE = "not finite"
CONSTANT_OUTPUT = "the output does not depend on the sequence: it is the same for its reference."
RANDOM_NUMBERS = "Random numbers differ between a sequence and its reference: leave them out in evaluation mode."


def control_flow_note(divergence: str, origin: Origin | None) -> str:
    """Return what to do about a model whose calls depend on the values of its input."""
    if origin is not None and is_random(origin.operation):
        drawn = f"what `{origin.operation}`{_in_module(origin.module)} drew"
        return f"The reference {divergence}, after {drawn}. {RANDOM_NUMBERS}"
    why = f", after `{origin.operation}`{_in_module(origin.module)} turned the input into a number" if origin else ""
    return (
        f"The reference {divergence}{why}: a model whose control flow depends on its input, or on chance, cannot "
        "be explained. Compute both branches, and choose with torch.where(condition, a, b)."
    )


UNSEEN = (
    "No observed operation loses this. The cause may be values changed behind PyTorch's back (in NumPy memory), "
    "a backward hook that changes gradients, or a custom backward pass that is not the derivative."
)


def _in_module(module: str) -> str:
    return f" in {module}" if module else ""


def _remedy(origin: Origin) -> str:
    name = origin.operation
    if not origin.recording:
        return "It runs under torch.no_grad(), which cuts off its gradient: take it out of there."
    if is_random(name):
        return RANDOM_NUMBERS
    if name in ("detach", "data"):
        return "That cuts off the gradient: leave that out."
    if name in COMPARISONS:
        return (
            "A comparison has no gradient: torch.sign(x).clamp(min=0) is the same as (x > 0) and has a rule. "
            "Where x is masked by itself, x * (x > 0) and torch.where(x > 0, x, 0) have rules, too."
        )
    if name in INDICES:
        return "An index has no gradient: take the values, with amax or max(dim).values, or weight them with a softmax."
    if name.strip("_") in {one.strip("_") for one in NUMBER_FUNCTIONS}:
        return "A Python number has no gradient: keep it a tensor."
    if name in CONVERSIONS:
        return "Integers and booleans have no gradient: multiply the one-hot characters with a matrix instead."
    return "That cuts off the gradient: write it in operations that have a gradient."
