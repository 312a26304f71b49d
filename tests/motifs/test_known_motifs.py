import numpy as np
import pandas as pd
import pytest

import seqlight as sl
from seqlight.motifs.known_motifs import annotate_texts, open_motifs


@pytest.fixture
def known(tmp_path):
    rng = np.random.default_rng(0)
    motifs = {f"m{i}": rng.dirichlet([0.2] * 4, size=8).T for i in range(30)}
    return {"AP-1": sl.one_hot_encode("TGACTCA").double().numpy(), **motifs}


def test_pieces_have_the_motif_that_they_have_alone(known):
    texts = ["TGACTCA", "GATTACA", "TGACTCA", "TGNCTC"]
    columns = pd.DataFrame(annotate_texts(texts, known))
    for i, text in enumerate(texts):
        X = sl.one_hot_encode(text)[None]
        alone = sl.annotate_seqlets(X, pd.DataFrame({"example_idx": [0], "start": [0], "end": [len(text)]}), known)
        pd.testing.assert_frame_equal(
            columns.iloc[[i]].reset_index(drop=True), alone[list(columns)], check_dtype=False, check_exact=True
        )


def test_unknown_characters_have_no_motif(known):
    found = pd.DataFrame(annotate_texts(["NNN", "TGACTCA", ""], known))
    assert found["motif"].isna().tolist() == [True, False, True]
    assert found["motif_offset"].tolist()[1] == 0
    assert pd.DataFrame(annotate_texts([], known)).empty


def test_motifs_from_a_file_and_from_jaspar(known, tmp_path):
    pytest.importorskip("pyjaspar")
    sl.write_meme(tmp_path / "known.meme", known)
    assert list(open_motifs(str(tmp_path / "known.meme"))) == list(known)
    assert list(open_motifs("jaspar:CORE/vertebrates")) == list(sl.jaspar_motifs(tax_group="vertebrates"))
    with pytest.raises(sl.InputError, match=r"no motif of JASPAR2024, collection CORE, passes .*martians"):
        open_motifs("jaspar:CORE/martians")
    with pytest.raises(sl.InputError, match="expected a file, jaspar, or jaspar:COLLECTION/GROUP"):
        open_motifs("jaspar:CORE/vertebrates/more")
    with pytest.raises(sl.InputError, match="there is no file"):
        open_motifs(str(tmp_path / "none.meme"))
