import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import seqlight as sl
from seqlight.metrics import seqlet_iou, seqlet_precision, seqlet_recall
from seqlight.metrics.overlap import COLUMNS

intervals = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 12), st.integers(0, 6), st.sampled_from([0.001, 0.01, 0.1])).map(
        lambda row: (row[0], row[1], row[1] + row[2], row[3])
    ),
    max_size=8,
)


def table(rows):
    return pd.DataFrame(rows, columns=[*COLUMNS, "p-value"])


def positions(rows):
    return {(example, at) for example, start, end, _ in rows for at in range(start, end)}


def matches(a, b, least, iou):
    first, second = positions([a]), positions([b])
    return len(first & second) >= least and len(first & second) / len(first | second) >= iou


def share(flags):
    return sum(flags) / len(flags) if flags else math.nan


@given(intervals, intervals, st.integers(1, 3), st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_against_sets_of_positions(found, known, least, iou):
    thresholds = [0.005, 0.05, 0.5]
    recalls, precisions, ious = [], [], []
    for threshold in thresholds:
        kept = [row for row in found if row[3] < threshold]
        recalls.append(share([any(matches(b, a, least, iou) for a in kept) for b in known]))
        precisions.append(share([any(matches(a, b, least, iou) for b in known) for a in kept]))
        either = positions(kept) | positions(known)
        ious.append(len(positions(kept) & positions(known)) / len(either) if either else math.nan)
    tables = table(found), table(known)
    for function, expected in ((seqlet_recall, recalls), (seqlet_precision, precisions)):
        assert function(*tables, thresholds, least, iou).tolist() == pytest.approx(expected, nan_ok=True)
        assert float(function(*tables, None, least, iou)) == pytest.approx(expected[-1], nan_ok=True)
        assert float(function(*tables, 0.05, least, iou)) == pytest.approx(expected[1], nan_ok=True)
    assert seqlet_iou(*tables, thresholds).tolist() == pytest.approx(ious, nan_ok=True)
    assert float(seqlet_iou(*tables)) == pytest.approx(ious[-1], nan_ok=True)


def test_a_seqlet_without_p_value_is_below_no_threshold():
    one = table([(0, 3, 5, math.nan)])
    assert float(seqlet_recall(one, one)) == 1
    assert float(seqlet_recall(one, one, 1.0)) == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"thresholds": 0.0}, "thresholds is 0.0: expected p-values above 0"),
        ({"thresholds": []}, "one or more"),
        ({"thresholds": [0.5, 1.5]}, "at most 1"),
        ({"min_overlap": 0}, "min_overlap is 0"),
        ({"min_iou": 1.5}, "min_iou is 1.5: expected 0 to 1"),
    ],
)
def test_invalid_settings(settings, message):
    one = table([(0, 3, 5, 0.1)])
    with pytest.raises(sl.InputError, match=message):
        seqlet_precision(one, one, **settings)


def test_invalid_tables():
    one = table([(0, 3, 5, 0.1)])
    with pytest.raises(sl.InputError, match="no column 'p-value'"):
        seqlet_recall(one.drop(columns="p-value"), one, 0.1)
    assert float(seqlet_recall(one.drop(columns="p-value"), one)) == 1
    with pytest.raises(sl.InputError, match="no column 'end'"):
        seqlet_iou(one, one.drop(columns="end"))
