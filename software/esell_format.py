"""Build a random sparse matrix, pack it in every stored format, verify it against scipy and compare the sizes.

python -m software.esell_format 768 768 0.5
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table
from scipy import sparse

if not __package__:
    # Run as a script: the packages are beside this one, and this directory must not hide any
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from golden.formats import FORMATS, Packed, ec, pack_offsets, stored
from golden.formats.base import WORD_BITS
from golden.isa import Format
from golden.numbers import Float16, products
from golden.spmv import spmv, spmv_float64
from software import progress
from software.cli import UserError, check_outputs, run, write_all
from software.weight_formats import NAMES, kind_of

SCHEMA = "elstm.formats/1"
MAX_SIDE = 1 << 16
"""16-bit indices end here."""
MAX_ELEMENTS = 1 << 26
"""About 4 GB of working memory."""


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


def random_matrix(rows: int, cols: int, density: float, seed: int) -> Float16:
    """A matrix (rows, cols) of normal values with exactly round(density rows cols) nonzeros at random places."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(rows * cols).astype(np.float16)
    # A value that rounds to zero would be one nonzero less
    values[values == 0] = 1
    values[rng.permutation(values.size)[round(density * values.size) :]] = 0
    return values.reshape(rows, cols)


def verify(matrix: Float16, packed: Packed, seed: int) -> None:
    """Compare what the words and EC say with scipy's own formats of the matrix; raises AssertionError naming the first
    difference. The words hold the matrix exactly."""

    def same(what: str, ours: np.ndarray, theirs: np.ndarray) -> None:
        wrong = np.argwhere(ours != theirs)
        if ours.shape != theirs.shape or len(wrong):
            raise AssertionError(f"{what} differs from scipy's at {wrong[0].tolist() if len(wrong) else ours.shape}")

    rows, cols = matrix.shape
    # scipy has no sparse fp16; fp32 holds every fp16 value
    csr = sparse.csr_array(matrix.astype(np.float32))
    coo = csr.tocoo()
    form = stored(packed.format)
    decoded = form.check(packed.words, packed.rows, packed.cols, packed.offsets, packed.parameters)
    ours = sparse.coo_array(
        (decoded.value.astype(np.float32), (decoded.row, decoded.col)), shape=(packed.rows, packed.cols)
    ).tocsr()
    same("number of values", np.array([len(decoded.value)]), np.array([csr.nnz]))
    same("matrix", ours.toarray()[:rows, :cols], csr.toarray())
    same("EC matrix", ec.decode(*ec.encode(matrix), rows, cols).astype(np.float32), csr.toarray())

    x = np.random.default_rng(seed + 1).standard_normal((cols,)).astype(np.float16)
    padded = np.pad(x, (0, packed.cols - cols))
    terms = sparse.coo_array((products(coo.data, x[coo.col]), (coo.row, coo.col)), shape=csr.shape)
    exact = np.asarray(terms.sum(axis=1))
    place = (packed.words, packed.rows, packed.cols, padded, packed.format, packed.offsets, packed.parameters)
    same("bit-exact product", spmv(*place)[:rows], exact.astype(np.int32))
    wide = csr.astype(np.float64)
    error = np.abs(spmv_float64(*place)[:rows] - wide @ x.astype(np.float64))
    same("float64 product", error > 1e-13 * (abs(wide) @ np.abs(x.astype(np.float64))), np.zeros(rows, dtype=bool))


def verify_rounded(matrix: Float16, packed: Packed, seed: int) -> float:
    """``verify`` on the values that the words hold, which may be rounded but no others; gives how far they are off, the
    root of the mean square over that of the matrix's nonzeros. Raises AssertionError."""
    rows, cols = matrix.shape
    form = stored(packed.format)
    whole = form.unpack(packed.words, packed.rows, packed.cols, packed.offsets, packed.parameters)
    held = whole[:rows, :cols]
    if np.count_nonzero(held) != np.count_nonzero(whole) or (held[matrix == 0] != 0).any():
        raise AssertionError(f"{form.name} holds a value where the matrix has none")
    verify(held, packed, seed)
    exact = matrix[matrix != 0].astype(np.float64)
    if not exact.size:
        return 0.0
    return float(np.sqrt(((held[matrix != 0] - exact) ** 2).mean() / (exact**2).mean()))


def main(
    rows: Annotated[int, typer.Argument(metavar="ROWS", help=f"Rows, 1..{MAX_SIDE}.")],
    cols: Annotated[int, typer.Argument(metavar="COLS", help=f"Columns, 1..{MAX_SIDE}.")],
    density: Annotated[float, typer.Argument(metavar="DENSITY", help="Share of nonzeros, 0..1 (1 - sparsity).")],
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the random matrix, 0 or more.")] = 1,
    json_path: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the sizes as JSON.")
    ] = None,
) -> None:
    """Build a random sparse matrix, pack it in every stored format, verify it against scipy and compare the sizes.

    \b
    Examples:
      python -m software.esell_format 768 768 0.5
      python -m software.esell_format 4096 1024 0.2 --seed 7 --json sizes.json
    """
    for name, value in (("ROWS", rows), ("COLS", cols)):
        if not 1 <= value <= MAX_SIDE:
            raise UserError(f"{name} must be in 1..{MAX_SIDE}, not {value}")
    if rows * cols > MAX_ELEMENTS:
        raise UserError(f"ROWS x COLS must be at most {MAX_ELEMENTS}, not {rows * cols}")
    if not 0 <= density <= 1:
        raise UserError(f"DENSITY must be in 0..1, not {density}")
    if seed < 0:
        raise UserError(f"--seed must be 0 or more, not {seed}")
    check_outputs(json_path)
    with progress.steps(4) as step:
        step("drawing")
        matrix = random_matrix(rows, cols, density, seed)
        step("packing")
        try:
            packed = stored(Format.ESELL).pack(matrix)
            streams = {form.name: form.pack(matrix) for form in NAMES.values() if form.number != packed.format}
        except ValueError as error:
            raise UserError(str(error)) from None
        step("verifying")
        verify(matrix, packed, seed)
        rounding = {name: verify_rounded(matrix, stream, seed) for name, stream in streams.items()}
        step("measuring")
        found = sizes(matrix, packed)

    table = Table(title=f"{rows} x {cols}, sparsity {1 - density:g}, {packed.nonzeros:,} nonzeros, seed {seed}")
    table.add_column("format")
    for heading in ("Mbit", "64-bit words", "words per nonzero"):
        table.add_column(heading, justify="right")
    for name, size in found.items():
        per = size.words_per_nonzero
        table.add_row(name, f"{size.bits / 1e6:.3f}", f"{size.words:,}", "-" if per is None else f"{per:.3f}")
    result = {
        "schema": SCHEMA,
        "rows": rows,
        "cols": cols,
        "density": density,
        "seed": seed,
        "nonzeros": packed.nonzeros,
        "verified": True,
        "offset_words": len(pack_offsets(packed.offsets)),
        "formats": {
            name: {"bits": s.bits, "words": s.words, "words_per_nonzero": s.words_per_nonzero}
            for name, s in found.items()
        },
        "streams": {
            name: {"gap_bits": stream.parameters.gap_bits, "rms_rounding": rounding[name]}
            for name, stream in streams.items()
        },
    }
    if json_path is not None:
        write_all({json_path: json.dumps(result, indent=1).encode() + b"\n"})
    Console().print(table)
    print(f"verified against scipy: matrix, bit-exact and float64 product; {result['offset_words']} offset words")
    for name, stream in streams.items():
        print(f"{kind_of(stream)}: values rounded by {rounding[name]:.2%} rms, the same verified on them")
    if json_path is not None:
        print(f"wrote {json_path}")


if __name__ == "__main__":
    run(main)
