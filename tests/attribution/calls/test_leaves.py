"""Arguments and results as flat lists: the tensors are those that PyTorch's own flattening finds."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._pytree import tree_flatten

from seqlight.attribution.calls.leaves import flatten_arguments, tensors_in

ONES = st.sampled_from([torch.zeros(1), torch.ones(2), None, 3, "same", torch.float32, torch.Size([2, 3])])
NESTED = st.recursive(ONES, lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner), max_leaves=6)


@given(st.lists(NESTED, max_size=3), st.dictionaries(st.sampled_from("ab"), NESTED))
def test_the_tensors_are_those_of_pytree(args, kwargs):
    expected = [one for one in tree_flatten((args, kwargs))[0] if isinstance(one, torch.Tensor)]
    leaves, structure = flatten_arguments(args, kwargs)
    assert [id(one) for one in leaves if isinstance(one, torch.Tensor)] == [id(one) for one in expected]
    assert [id(one) for one in tensors_in([*args, kwargs])] == [id(one) for one in expected]
    assert structure == flatten_arguments(list(args), dict(kwargs))[1]


def test_other_names_and_other_nesting_are_another_structure():
    x = torch.zeros(1)
    calls = [((x, 1), {}), ((x,), {"dim": 1}), ((x,), {"axis": 1}), (([x], 1), {}), (([x, 1],), {})]
    structures = [flatten_arguments(*one)[1] for one in calls]
    assert all(a != b for i, a in enumerate(structures) for b in structures[:i])
