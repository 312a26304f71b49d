from seqlight.exports.formats import FORMATS, require_formats


def test_suffixes_and_capitals_are_understood():
    assert require_formats(["NPZ", ".fa", "bw,h5", "npz"]) == ["npz", "fasta", "bigwig", "hdf5"]


def test_every_format_is_documented():
    from seqlight import export

    assert all(f"``{name}``" in export.__doc__ for name in FORMATS)
