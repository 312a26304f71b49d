import pandas as pd

from seqlight.motifs.known_counts import known_counts


def test_seqlets_of_each_motif():
    seqlets = pd.DataFrame(
        {
            "example_idx": [0, 0, 1, 2, 3],
            "attribution": [1.0, 2.0, -1.0, 4.0, 5.0],
            "motif": ["GATA", "AP-1", "AP-1", "AP-1", None],
            "motif_q-value": [0.001, 0.001, 0.01, 0.2, None],
        }
    )
    assert known_counts(seqlets).to_numpy().tolist() == [["AP-1", 2, 1, 1, 2, 0.5], ["GATA", 1, 1, 0, 1, 1.0]]
    assert known_counts(seqlets[:0]).empty
