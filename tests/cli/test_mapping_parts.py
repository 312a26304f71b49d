from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlight.cli.mapping_parts import read_value, set_parts, value_before
from seqlight.cli.usage import UsageError


def test_parts_are_set_and_the_rest_stays():
    before = {"class_path": "a.B", "init_args": {"width": 3, "depth": 2}}
    found = set_parts("model", before, [("init_args.width", "5"), ("init_args.inner.a", "x")])
    assert found == {"class_path": "a.B", "init_args": {"width": 5, "depth": 2, "inner": {"a": "x"}}}
    assert before["init_args"]["width"] == 3


def test_another_class_has_other_arguments():
    before = {"class_path": "a.B", "init_args": {"width": 3}}
    assert set_parts("model", before, [("class_path", "a.C")]) == {"class_path": "a.C"}
    assert set_parts("model", before, [("class_path", "a.B")]) == before
    after = set_parts("model", before, [("class_path", "a.C"), ("init_args.depth", "1")])
    assert after == {"class_path": "a.C", "init_args": {"depth": 1}}


def test_a_value_without_parts_is_refused():
    with pytest.raises(UsageError, match=r"init_args is 3, of which no part can be set"):
        set_parts("init_args", 3, [("width", "5")])


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_read(number):
    assert read_value(repr(number)) == number


def test_what_is_typed_goes_before_a_file(tmp_path):
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("init_args: {width: 1}\nmodel: a.B\n")
    second.write_text("arguments: {width: 2}\n")
    former = {"arguments": "init_args"}
    assert value_before("init_args", [], [first], former) == {"width": 1}
    assert value_before("init_args", [], [first, second], former) == {"width": 2}
    assert value_before("init_args", ['{"width": 3}'], [first, second], former) == {"width": 3}
    assert value_before("model", [], [first, second], former) == "a.B"
    assert value_before("target", [], [first, tmp_path / "missing.yaml"], former) is None
