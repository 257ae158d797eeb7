"""The format of each matrix as command lines ask for it: a name or ``auto``, gap bits, columns of a unit."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import typer
from numpy.typing import ArrayLike

from golden.config import BLOCK_COLS
from golden.formats import FORMATS, Packed, Parameters, StoredFormat, pack_halves, stored
from golden.isa import BUILT_FORMATS, Format
from golden.layer import PackedLayer, pack_layer_with
from golden.numbers import Float16, fp16_bits
from golden.tables import STREAM_GAP_BITS, STREAM_UNIT_COLS
from software.cli import UserError

AUTO = "auto"
ESELL = "esell"


def option_name(form: StoredFormat) -> str:
    """A stored format as options spell it: stream16 is stream-16."""
    return form.name.replace("-", "").lower()


NAMES: dict[str, StoredFormat] = {option_name(row): row for row in FORMATS.values() if isinstance(row, StoredFormat)}
"""Stored formats by what options call them."""

_CHOICES = ", ".join(NAMES)
_GAPS = sorted({gap for gaps in STREAM_GAP_BITS.values() for gap in gaps})
_AUTO_HELP = f"{_CHOICES}, or {AUTO}: the one that takes the fewest words."

WFormatOption = Annotated[str, typer.Option("--w-format", metavar="NAME", help=f"Of W: {_AUTO_HELP}")]
UFormatOption = Annotated[str, typer.Option("--u-format", metavar="NAME", help=f"Of U: {_AUTO_HELP}")]
GapBitsOption = Annotated[
    int | None,
    typer.Option(
        "--gap-bits",
        metavar="N",
        help=f"Of a stream's entries, {_GAPS[0]}..{_GAPS[-1]}.",
        show_default="what takes the fewest words",
    ),
]
UnitOption = Annotated[
    int, typer.Option("--unit", metavar="N", help="Columns of a stream's unit, 4 or 1; of U also the units of h.")
]


@dataclass(frozen=True)
class FormatChoice:
    """What W and U are packed in: names of ``NAMES`` or auto; what is said of streams holds for both matrices.

    Raises UserError for what there is not.
    """

    w: str = ESELL
    u: str = ESELL
    gap_bits: int | None = None
    unit: int = BLOCK_COLS

    def __post_init__(self) -> None:
        for option, name in (("--w-format", self.w), ("--u-format", self.u)):
            if name not in (*NAMES, AUTO):
                raise UserError(f"{option} must be {_CHOICES} or {AUTO}, not {name!r}")
        if self.unit not in STREAM_UNIT_COLS:
            raise UserError(f"--unit must be {' or '.join(map(str, STREAM_UNIT_COLS))}, not {self.unit}")
        if self.gap_bits is not None and self.gap_bits not in _GAPS:
            raise UserError(f"--gap-bits must be in {_GAPS[0]}..{_GAPS[-1]}, not {self.gap_bits}")
        if (self.w, self.u) == (ESELL, ESELL) and (self.gap_bits is not None or self.unit != BLOCK_COLS):
            raise UserError(f"--gap-bits and --unit are of stream formats, and W and U are both {ESELL}")

    @property
    def automatic(self) -> bool:
        """Whether a format is left to the packer."""
        return AUTO in (self.w, self.u)

    def pack(self, w: ArrayLike, u: ArrayLike, b: ArrayLike) -> PackedLayer:
        """Pack a layer, as ``golden.layer.pack_layer``. Raises ValueError for what a format does not hold."""
        return pack_layer_with(w, u, b, partial(self._packed, self.w), partial(self._packed, self.u))

    def _packed(self, name: str, matrix: Float16) -> Packed:
        if name == ESELL:
            return NAMES[ESELL].pack(matrix)
        wanted = Parameters(self.gap_bits, self.unit)
        if name != AUTO:
            return NAMES[name].pack(matrix, wanted)
        found, refused = [], []
        for form in NAMES.values():
            try:
                # eSELL loads four columns together, and has no gaps
                wants = Parameters(unit_cols=self.unit) if form is NAMES[ESELL] else wanted
                found.append(form.pack(matrix, wants))
            except ValueError as error:
                refused.append(error)
        if not found:
            raise refused[0]
        return min(found, key=words_of)


ALL_ESELL = FormatChoice()


def tell_formats(formats: FormatChoice, layers: Sequence[PackedLayer]) -> None:
    """Print what each layer is packed in, unless nothing but eSELL was asked for."""
    if formats != ALL_ESELL:
        for number, packed in enumerate(layers, 1):
            print(f"layer {number}: {formats_line(packed)}")


def check_built(layers: Sequence[PackedLayer], formats: Sequence[Format] = tuple(Format)) -> None:
    """Raise UserError naming the first matrix that no RTL reads, or none with these formats."""
    numbers = [number for number in BUILT_FORMATS if number in formats]
    built = ", ".join(stored(number).name for number in numbers)
    for number, packed in enumerate(layers, 1):
        for name, matrix in (("W", packed.w), ("U", packed.u)):
            if matrix.format not in numbers:
                raise UserError(f"{name} of layer {number} is {kind_of(matrix)}, which the RTL does not read: {built}")


def words_of(matrix: Packed) -> int:
    """Words of an array and of what must be loaded with it: the tables of its values."""
    tables = matrix.parameters.tables
    return len(matrix.words) + (0 if tables is None else len(pack_halves(fp16_bits(tables).ravel())))


def kind_of(matrix: Packed) -> str:
    """A matrix's format with its parameters, as in "stream-16, gap bits 5"."""
    parameters = matrix.parameters
    said = [stored(matrix.format).name]
    said += [] if parameters.gap_bits is None else [f"gap bits {parameters.gap_bits}"]
    said += [] if parameters.unit_cols == BLOCK_COLS else [f"units of {parameters.unit_cols} column"]
    return ", ".join(said)


def formats_line(packed: PackedLayer) -> str:
    """What W and U of a layer are packed in, and their words."""
    matrices = (("W", packed.w), ("U", packed.u))
    return "; ".join(f"{name} {kind_of(matrix)}, {len(matrix.words):,} words" for name, matrix in matrices)
