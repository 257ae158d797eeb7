"""Formats of sparse fp16 weights: ``FORMATS`` has every one, in the order of Figure 9's table."""

from golden.formats.base import OPEN, Decoded, Format, FormatError, NotHeld, Packed, Parameters, StoredFormat
from golden.formats.ec import Ec
from golden.formats.esell import Esell
from golden.formats.sizes import Compressed, Coordinates, Dense
from golden.formats.stream import Stream8, Stream16
from golden.formats.words import Words, pack_halves, pack_offsets, unpack_halves
from golden.registry import Registry

FORMATS: Registry[Format] = Registry(
    "format",
    Dense(),
    Compressed("CSR, 16-bit index", 16, by_column=False),
    Compressed("CSR, log2 index", None, by_column=False),
    Compressed("CSC, 16-bit index", 16, by_column=True),
    Compressed("CSC, log2 index", None, by_column=True),
    Coordinates("COO, 16-bit indices", 16),
    Coordinates("COO, log2 indices", None),
    Ec(),
    Esell(),
    Stream16(),
    Stream8(),
)


def stored(number: int) -> StoredFormat:
    """The format of that number, which packs and unpacks. Raises ValueError when there is none."""
    found = FORMATS.numbered(number)
    assert isinstance(found, StoredFormat), f"{found.name} has a number and no packer"
    return found


__all__ = [
    "FORMATS",
    "OPEN",
    "Decoded",
    "Format",
    "FormatError",
    "NotHeld",
    "Packed",
    "Parameters",
    "StoredFormat",
    "Words",
    "pack_halves",
    "pack_offsets",
    "stored",
    "unpack_halves",
]
