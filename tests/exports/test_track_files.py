import numpy as np
import pytest

import seqlight as sl
from results_folders import attribution_arrays, loci_of, write_results


def test_attributions_along_the_genome(tmp_path):
    big = pytest.importorskip("pyBigWig")
    arrays, loci = attribution_arrays(6), loci_of(6)
    results = write_results(tmp_path / "run", arrays, loci)
    sizes = tmp_path / "toy.chrom.sizes"
    sizes.write_text("chr1\t1000\nchr2\t50\n")
    file = big.open(str(sl.export(results, "bigwig", chrom_sizes=sizes)["bigwig"][0]))
    try:
        assert file.chroms() == {"chr1": 1000, "chr2": 50}
        track = arrays["attributions"].sum(1)
        np.testing.assert_allclose(file.values("chr1", 0, 30), track[0], rtol=1e-6)
        np.testing.assert_allclose(file.values("chr1", 100, 130), track[1][::-1], rtol=1e-6)
    finally:
        file.close()
