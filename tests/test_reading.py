"""The former name of seqlight.datasets, which scripts and YAML files of users may still have."""

import jsonargparse
import numpy as np
import pandas as pd
import pytest
import yaml

import seqlight as sl
import seqlight.datasets
import seqlight.reading
from seqlight.datasets.signals import SignalSource


@pytest.mark.parametrize("name", seqlight.datasets.__all__)
def test_every_name_is_the_one_of_datasets(name):
    assert getattr(seqlight.reading, name) is getattr(seqlight.datasets, name)
    assert set(seqlight.reading.__all__) == set(seqlight.datasets.__all__)


@pytest.mark.parametrize("name", ["seqlight.reading.signals.Signals", "seqlight.reading.Signals"])
def test_a_yaml_file_may_name_a_class_by_it(tmp_path, name):
    pytest.importorskip("pyBigWig")
    loci = pd.DataFrame({"chrom": ["chr1"], "start": [10], "end": [14]})
    sl.write_bigwig(tmp_path / "a.bw", np.ones((1, 4)), loci, {"chr1": 100})
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--signals", type=SignalSource)
    written = yaml.safe_load(f"class_path: {name}\ninit_args: {{paths: [{tmp_path}/a.bw], bin: 2}}")
    found = parser.instantiate(parser.parse_object({"signals": written})).signals
    assert type(found) is sl.Signals
    assert found.bin == 2
