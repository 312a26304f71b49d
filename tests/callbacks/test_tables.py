from __future__ import annotations

import pandas as pd
import pytest

from seqlight_callbacks.tables import write_table

TABLE = pd.DataFrame({"start": [3, 4], "motif": ["", "a,b"], "p-value": [1e-50, 0.1]})


def test_csv_round_trip(tmp_path):
    write_table(TABLE, tmp_path / "new" / "a.csv")
    again = pd.read_csv(tmp_path / "new" / "a.csv", keep_default_na=False)
    pd.testing.assert_frame_equal(again, TABLE)


def test_parquet_round_trip(tmp_path):
    pytest.importorskip("pyarrow")
    write_table(TABLE, tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "a.parquet"), TABLE)


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    write_table(TABLE, tmp_path / "a.csv")
    monkeypatch.setattr(pd.DataFrame, "to_csv", lambda *args, **named: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_table(TABLE.head(1), tmp_path / "a.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    assert len(pd.read_csv(tmp_path / "a.csv")) == 2
