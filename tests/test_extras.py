import sys

import pytest

from seqlight.errors import MissingExtra, SeqlightError
from seqlight.extras import import_extra


def test_an_installed_module_is_returned():
    assert import_extra("json.decoder", "motifs").__name__ == "json.decoder"


@pytest.mark.parametrize("module", ["pyBigWig_that_is_not", "pyBigWig_that_is_not.inner"])
def test_the_error_for_a_missing_module_names_its_extra(module):
    with pytest.raises(MissingExtra, match=r"pip install 'seqlight\[tracks\]'") as caught:
        import_extra(module, "tracks")
    assert isinstance(caught.value, ImportError | SeqlightError)


def test_a_module_that_lacks_another_one_raises_its_own_error(monkeypatch, tmp_path):
    (tmp_path / "half_there.py").write_text("import nowhere_at_all\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="nowhere_at_all") as caught:
        import_extra("half_there", "tracks")
    assert not isinstance(caught.value, MissingExtra)
    assert "half_there" not in sys.modules
