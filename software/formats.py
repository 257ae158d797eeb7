"""How many bits a sparse fp16 matrix takes in every format there is: the comparison of the paper's Figure 9."""

from dataclasses import dataclass

from golden.formats import FORMATS, Packed
from golden.formats.base import WORD_BITS
from golden.numbers import Float16


@dataclass(frozen=True)
class Size:
    """What a matrix takes in one format; ``words`` are of 64 bits, the last one perhaps not full."""

    bits: int
    nonzeros: int

    @property
    def words(self) -> int:
        return -(-self.bits // WORD_BITS)

    @property
    def words_per_nonzero(self) -> float | None:
        """None when there is no nonzero."""
        return self.words / self.nonzeros if self.nonzeros else None


def sizes(matrix: Float16, packed: Packed) -> dict[str, Size]:
    """Each format's size for a matrix (R, C), at most 65,536 a side; none with the offsets of its units.

    packed: the matrix in one of the formats, which need not pack it again.
    """
    return {
        name: Size(len(packed.words) * WORD_BITS if row.number == packed.format else row.bits(matrix), packed.nonzeros)
        for name, row in FORMATS.items()
    }
