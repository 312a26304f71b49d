import pandas as pd
import torch

import seqlight as sl
from seqlight.notebook.array_lines import array_lines
from seqlight.seqlets.recursive.calibration import CalibratedSeqlets


def test_what_is_returned_is_printed_in_lines():
    """Of thousands of sequences, whose numbers would fill a notebook."""
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 1))
    X = sl.random_one_hot((3, 4, 20), random_state=0)
    found = sl.deep_lift_shap(model, X, n_shuffles=2, return_references=True, random_state=0)
    lines = "AttributionsAndReferences\n  attributions: (3, 4, 20) float32\n  references: (3, 2, 4, 20) float32"
    assert repr(found) == str(found) == lines
    outputs = sl.saturation_mutagenesis(model, X, raw_outputs=True)
    assert repr(outputs) == "MutagenesisOutputs\n  y0: (3, 1) float32\n  y_hat: (3, 4, 20, 1) float32"

    table = pd.DataFrame({"start": [1, 2]})
    calibrated = CalibratedSeqlets(table, table, found.attributions, found.attributions.sum(dim=1))
    assert str(calibrated).splitlines()[1] == "  seqlets: a table of 2 rows: start"
    assert str(calibrated).splitlines()[-1] == "  control: (3, 20) float32"


def test_arrays_in_a_structure():
    held = {"profile": (torch.zeros(2, 3), [torch.zeros(1).double()]), "text": "a"}
    assert array_lines("Found", {"y": held}).splitlines()[1] == (
        "  y: {'profile': ((2, 3) float32, ((1,) float64)), 'text': 'a'}"
    )


def test_tables_have_their_columns():
    assert array_lines("Found", {"fdr": pd.DataFrame({"a": [1, 2], 0: 3})}) == "Found\n  fdr: a table of 2 rows: a, 0"
