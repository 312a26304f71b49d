import numpy as np
import pandas as pd
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import seqlight as sl
from results_folders import attribution_arrays, write_results
from seqlight.exports.export_job import ExportJob
from seqlight.motifs.seqlet_columns import add_attributions, add_texts

ROWS, LENGTH = 9, 30
SPANS = st.lists(st.tuples(st.integers(0, ROWS - 1), st.integers(0, LENGTH), st.integers(0, LENGTH)), max_size=20)


@settings(max_examples=25)
@given(spans=SPANS, shard_rows=st.integers(1, ROWS))
def test_spans_in_any_order_over_any_shards(spans, shard_rows, tmp_path_factory):
    arrays = attribution_arrays(ROWS, LENGTH)
    arrays["sequences"][4, :, 3:6] = 0
    folder = tmp_path_factory.mktemp("results")
    job = ExportJob(write_results(folder, arrays, shard_rows=shard_rows), folder)
    table = pd.DataFrame(
        [(row, min(a, b), max(a, b)) for row, a, b in spans], columns=["example_idx", "start", "end"], dtype=np.int64
    )
    found = add_texts(add_attributions(table, job, None), job)
    whole = sl.characters(torch.from_numpy(arrays["sequences"]), allow_N=True)
    track = arrays["attributions"].sum(1)
    assert found["sequence"].tolist() == [whole[row][start:end] for row, start, end in table.to_numpy()]
    expected = [track[row, start:end].sum(dtype=np.float64) for row, start, end in table.to_numpy()]
    np.testing.assert_allclose(found["attribution"], expected, atol=1e-6)
