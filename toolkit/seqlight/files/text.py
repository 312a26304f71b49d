"""Read text files: plain or gzipped, with or without a byte-order mark, with any line ends."""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path

from seqlight.errors import InputError
from seqlight.files.bgzip import LAST_BLOCK, is_bgzip
from seqlight.files.paths import existing_file

GZIP = b"\x1f\x8b"
#: Some programs, above all on Windows, write it in front of text in UTF-8.
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# The longer ones first: the mark of UTF-32 begins like that of UTF-16.
_WIDE = {
    b"\xff\xfe\0\0": "UTF-32",
    b"\0\0\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
_PACKED = {b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
# How many bytes are looked at to tell whether they are text.
_START = 4096


def read_text(
    source: str | os.PathLike[str], wanted: str = "a text file", name: str = "path", otherwise: str | None = None
) -> str:
    r"""Return the text of a file, with "\n" as line ends.

    Byte-order marks of UTF-8 are removed, also before later lines, where files were joined.

    Parameters
    ----------
    source : str or path
        A file in UTF-8, plain or compressed by gzip or bgzip, whatever its name says.
    wanted : str
        What the file should be, with its article, for error messages.
    name : str
        The name of the argument, for error messages.
    otherwise : str, optional
        The encoding to use for a file that is not in UTF-8, such as latin-1; an error if None.

    Returns
    -------
    str

    Raises
    ------
    InputError
        If there is no such file, it is not text, it is in another encoding (UTF-16 is named), or its end is missing.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a.bed").write_bytes(b"\xef\xbb\xbfchr1\t10\t20\r\n")
    ...     read_text(Path(folder) / "a.bed")
    'chr1\t10\t20\n'
    """
    path = existing_file(source, wanted, name)
    content = path.read_bytes()
    if content.startswith(GZIP):
        content = _unpacked(path, content)
    require_text_bytes(path, content[:_START], wanted)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        if otherwise is None:
            line = content.count(b"\n", 0, error.start) + 1
            raise InputError(
                f"{path} is no text in UTF-8, as line {line} shows: expected {wanted}; save it as UTF-8."
            ) from None
        text = content.removeprefix(BYTE_ORDER_MARK).decode(otherwise)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.removeprefix("\ufeff").replace("\n\ufeff", "\n") if "\ufeff" in text else text


def require_text_bytes(path: Path, start: bytes, wanted: str) -> None:
    """Raise InputError if the first bytes of a file are UTF-16, compressed by another program, or not text."""
    for mark, encoding in _WIDE.items():
        if start.startswith(mark):
            raise _wide(path, encoding, wanted)
    for mark, program in _PACKED.items():
        if start.startswith(mark):
            raise InputError(f"{path} is no text but compressed by {program}: unpack it, or use gzip.")
    if b"\0" in start:
        # Every other byte of Latin text in UTF-16 is zero.
        if len(start) > 1 and max(start[::2].count(0), start[1::2].count(0)) >= len(start) // 2:
            raise _wide(path, "UTF-16", wanted)
        raise InputError(f"{path} is no text but holds binary data: expected {wanted}.")


def _wide(path: Path, encoding: str, wanted: str) -> InputError:
    return InputError(f"{path} is no text in UTF-8 but in {encoding}: expected {wanted}; save it as UTF-8.")


def _unpacked(path: Path, content: bytes) -> bytes:
    try:
        found = gzip.decompress(content)
    except EOFError:
        raise InputError(f"{path} is a gzip file without its end: copy or download it again.") from None
    except (OSError, zlib.error) as error:
        raise InputError(f"{path} is a damaged gzip file ({error}): copy or download it again.") from None
    if is_bgzip(content) and not content.endswith(LAST_BLOCK):
        raise InputError(
            f"{path} lacks the last block that bgzip writes: copy it again, or unpack it if it is complete."
        )
    return found
