"""The format of each matrix as command lines ask for it: a name or ``auto``, gap bits, columns of a unit; or left to
the tuner."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated

import typer
from numpy.typing import ArrayLike

from golden.config import BLOCK_COLS
from golden.formats import FORMATS, OPEN, Packed, Parameters, StoredFormat, pack_halves, stored
from golden.isa import BUILT_FORMATS, Format
from golden.layer import PackedLayer, pack_layer_with
from golden.numbers import Float16, fp16_bits
from golden.sends import rounded_to_grid
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

WFormatOption = Annotated[
    str | None, typer.Option("--w-format", metavar="NAME", help=f"Of W: {_AUTO_HELP}", show_default=ESELL)
]
UFormatOption = Annotated[
    str | None, typer.Option("--u-format", metavar="NAME", help=f"Of U: {_AUTO_HELP}", show_default=ESELL)
]
GapBitsOption = Annotated[
    int | None,
    typer.Option(
        "--gap-bits",
        metavar="N",
        help=f"Of a stream's entries, {_GAPS[0]}..{_GAPS[-1]}.",
        show_default="what takes the fewest words",
    ),
]
_UNIT_HELP = "Columns of a stream's unit, 4 or 1; of U also the units of h."
UnitOption = Annotated[int, typer.Option("--unit", metavar="N", help=_UNIT_HELP)]
UnitOfNetworkOption = Annotated[
    int | None, typer.Option("--unit", metavar="N", help=_UNIT_HELP, show_default=f"{BLOCK_COLS}, or the network's")
]


GridOption = Annotated[
    bool, typer.Option("--grid", help="Round U to multiples of 2^-10, as is done where changes of h are sent.")
]


BalanceOption = Annotated[
    bool,
    typer.Option("--balance", help="Change the places of hidden units, so that the streams of a column are even."),
]


@dataclass(frozen=True)
class FormatChoice:
    """What W and U are packed in: names of ``NAMES`` or auto, None where the tuner chooses among those of a build.

    What is said of streams holds for both matrices, but for ``w_unit``, columns of a unit of W where they are others.
    w_grid, u_grid: weights are rounded to multiples of 2^-10 first, so that products with changes are exact; balance:
    hidden units of a network change places first, so that streams are even. Raises UserError for what there is not.
    """

    w: str | None = ESELL
    u: str | None = ESELL
    gap_bits: int | None = None
    unit: int = BLOCK_COLS
    w_unit: int | None = None
    w_grid: bool = False
    u_grid: bool = False
    balance: bool = False

    def __post_init__(self) -> None:
        for option, name in (("--w-format", self.w), ("--u-format", self.u)):
            if name not in (*NAMES, AUTO, None):
                raise UserError(f"{option} must be {_CHOICES} or {AUTO}, not {name!r}")
        if self.unit not in STREAM_UNIT_COLS:
            raise UserError(f"--unit must be {' or '.join(map(str, STREAM_UNIT_COLS))}, not {self.unit}")
        if self.gap_bits is not None and self.gap_bits not in _GAPS:
            raise UserError(f"--gap-bits must be in {_GAPS[0]}..{_GAPS[-1]}, not {self.gap_bits}")
        if (self.w, self.u) == (ESELL, ESELL) and (self.gap_bits is not None or self.unit != BLOCK_COLS):
            raise UserError(f"--gap-bits and --unit are of stream formats, and W and U are both {ESELL}")
        if self.balance and (ESELL in (self.w, self.u) or self.open or self.unit != 1):
            raise UserError(
                "--balance needs stream formats that are given, with --unit 1: others take 4 units of h together"
            )
        if (self.w, self.u) == (None, None) and (self.gap_bits is not None or self.unit != BLOCK_COLS):
            raise UserError("--best chooses gap bits and units: --gap-bits and --unit are for a format that is given")

    @classmethod
    def of(
        cls,
        w: str | None,
        u: str | None,
        gap_bits: int | None,
        unit: int,
        best: bool = False,
        grid: bool = False,
        balance: bool = False,
    ) -> "FormatChoice":
        """Of the options of a command; best: whether the tuner chooses what is not given, which else is eSELL; grid:
        of U."""
        usual = None if best else ESELL
        return cls(w or usual, u or usual, gap_bits, unit, u_grid=grid, balance=balance)

    def on_grid(self, *, w: bool, u: bool) -> "FormatChoice":
        """The same with what changes are multiplied by on the grid."""
        return replace(self, w_grid=self.w_grid or w, u_grid=self.u_grid or u)

    @property
    def has_streams(self) -> bool:
        """Whether a matrix may be in a stream format."""
        return (self.w, self.u) != (ESELL, ESELL)

    @property
    def open(self) -> bool:
        """Whether a format is left to the tuner."""
        return None in (self.w, self.u)

    @property
    def automatic(self) -> bool:
        """Whether a format is left to the packer."""
        return AUTO in (self.w, self.u)

    def pack(self, w: ArrayLike, u: ArrayLike, b: ArrayLike) -> PackedLayer:
        """Pack a layer, as ``golden.layer.pack_layer``. Raises ValueError for what a format does not hold."""
        if self.w is None or self.u is None:
            raise ValueError("the formats are left to the tuner")
        w_unit = self.w_unit or self.unit
        return pack_layer_with(
            w,
            u,
            b,
            partial(self._packed, self.w, w_unit, self.w_grid),
            partial(self._packed, self.u, self.unit, self.u_grid),
        )

    def packings(self, w: ArrayLike, u: ArrayLike, b: ArrayLike, built: Sequence[Format]) -> list[PackedLayer]:
        """The layer in every way that is left open: the formats ``built``, the same for W and U where both are open.

        Units of W may be single columns; those of U have what is said of them, as pruning drops h by them: with
        others the layer would be another. Gap bits are what takes the fewest words. Raises ValueError when no format
        holds the weights.
        """
        if not self.open:
            return [self.pack(w, u, b)]
        names = [option_name(stored(number)) for number in built]
        pairs = dict.fromkeys((self.w or name, self.u or name) for name in names)
        found, refused = [], []
        for pair in pairs:
            plain = replace(self, w=pair[0], u=pair[1])
            if not plain.has_streams:
                plain = replace(plain, gap_bits=None, unit=BLOCK_COLS)
            finer = [replace(plain, w_unit=1)] if self.w is None and pair[0] != ESELL and self.unit != 1 else []
            for choice in (plain, *finer):
                try:
                    found.append(choice.pack(w, u, b))
                except ValueError as error:
                    refused.append(error)
        if not found:
            raise refused[0]
        return found

    def _packed(self, name: str, unit: int, grid: bool, matrix: Float16) -> Packed:
        pack = _pack_on_grid if grid else _pack
        if name == ESELL:
            return pack(NAMES[ESELL], matrix, OPEN)
        wanted = Parameters(self.gap_bits, unit)
        if name != AUTO:
            return pack(NAMES[name], matrix, wanted)
        found, refused = [], []
        for form in NAMES.values():
            try:
                # eSELL loads four columns together, and has no gaps
                wants = Parameters(unit_cols=unit) if form is NAMES[ESELL] else wanted
                found.append(pack(form, matrix, wants))
            except ValueError as error:
                refused.append(error)
        if not found:
            raise refused[0]
        return min(found, key=words_of)


def _pack(form: StoredFormat, matrix: Float16, wanted: Parameters) -> Packed:
    return form.pack(matrix, wanted)


def _pack_on_grid(form: StoredFormat, matrix: Float16, wanted: Parameters) -> Packed:
    """The matrix on multiples of 2^-10. A stream's fewer bits stay there; the values of a table are put there too."""
    rounded = rounded_to_grid(matrix)
    packed = form.pack(rounded, wanted)
    tables = packed.parameters.tables
    if tables is None:
        return packed
    return form.pack(rounded, replace(wanted, tables=rounded_to_grid(tables)))


ALL_ESELL = FormatChoice()


def tell_formats(formats: FormatChoice, layers: Sequence[PackedLayer]) -> None:
    """Print what each layer is packed in, unless nothing but eSELL was asked for."""
    if formats != ALL_ESELL:
        for number, packed in enumerate(layers, 1):
            print(f"layer {number}: {formats_line(packed)}")


def check_built(layers: Sequence[PackedLayer], formats: Sequence[Format] = tuple(Format)) -> None:
    """Raise UserError naming the first matrix that no RTL reads, or none with these formats."""
    numbers = [number for number in BUILT_FORMATS if number in formats]
    built = FORMATS.names(numbers)
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
