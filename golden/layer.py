"""One LSTM layer on packed words, bit for bit as the accelerator computes it, for one sequence or many at once."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden import numbers
from golden.config import BLOCK_COLS, GATES, LayerShape
from golden.formats import OPEN, Decoded, NotHeld, Packed, Parameters, stored
from golden.isa import Error, Format
from golden.numbers import Float16
from golden.spmv import Matrix

Overflow = Literal["none", "may", "must"]
_CLASSES: tuple[Overflow, ...] = ("none", "may", "must")


@dataclass(frozen=True, eq=False)
class PackedLayer:
    """A layer as it lies in memory.

    w, u: packed gate matrices (4 h rows; x and h columns); bias: (4 h,) float16; inputs, hidden: sizes before padding
    to multiples of 4. Rows are the gates f, i, g, o, h rows each, the padding at the end of each gate.
    """

    w: Packed
    u: Packed
    bias: Float16
    inputs: int
    hidden: int

    @property
    def format_names(self) -> str:
        """Of W and U, "A and B" where they differ."""
        return " and ".join(dict.fromkeys(stored(matrix.format).name for matrix in (self.w, self.u)))

    @property
    def x(self) -> int:
        """Input size of the hardware, X."""
        return self.w.cols

    @property
    def h(self) -> int:
        """Hidden size of the hardware, H."""
        return self.u.cols

    def shape(self, steps: int) -> LayerShape:
        return LayerShape(self.x, self.h, steps)


@dataclass(frozen=True, eq=False)
class State:
    """What one call hands to the next: h (H,) or (N, H) float32, unpruned; c int32 in Q12.20, same shape."""

    h: NDArray[np.float32]
    c: NDArray[np.int32]

    def __post_init__(self) -> None:
        if (self.h.dtype, self.c.dtype) != (np.float32, np.int32) or self.h.shape != self.c.shape:
            raise TypeError(
                "a state is h float32 and c int32 of one shape, "
                f"not {self.h.dtype} {self.h.shape} and {self.c.dtype} {self.c.shape}"
            )

    @classmethod
    def zeros(cls, *shape: int) -> "State":
        return cls(np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.int32))

    def to_bytes(self) -> bytes:
        """8 H bytes of one sequence: h, then c, little-endian. Raises ValueError for a batch."""
        if self.h.ndim != 1:
            raise ValueError(f"a state in memory is one sequence's, not shape {self.h.shape}")
        return self.h.astype("<f4").tobytes() + self.c.astype("<i4").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> "State":
        """Raises ValueError when the length is no multiple of 8."""
        if len(data) % 8:
            raise ValueError(f"a state has 8 bytes a unit, not {len(data)} bytes")
        half = len(data) // 2
        return cls(np.frombuffer(data[:half], "<f4").copy(), np.frombuffer(data[half:], "<i4").copy())


@dataclass(frozen=True, eq=False)
class LayerResult:
    """What the layer computes; ``...`` is nothing for x of (T, X) and N for x of (N, T, X). H is the padded size.

    h: (..., T, H) float32, unpruned; h_pruned: the same with +0 in every unit that the next step drops;
    c: (..., T, H) int32 Q12.20; kept: (..., T, H/u) bool for U's units of u columns (4; a stream format's may be 1),
    the mask applied to h of the step before;
    w_words, u_words: words of the arrays; u_words_loaded, kept_blocks: (...,) int64, over all computed steps;
    overflow: whether ACC_OVERFLOW is out of the question, allowed or required (the worst of all sequences);
    error: the error that ends the run, or NONE; errors: all that apply, of which the hardware may report any;
    rows: steps that were computed before the error: later ones hold NaN, 0 and False, and the hardware may stop
    earlier, never later; state: after the last computed step.
    """

    h: NDArray[np.float32]
    h_pruned: NDArray[np.float32]
    c: NDArray[np.int32]
    kept: NDArray[np.bool_]
    w_words: int
    u_words: int
    u_words_loaded: NDArray[np.int64]
    kept_blocks: NDArray[np.int64]
    overflow: Overflow
    error: Error
    errors: frozenset[Error]
    rows: int
    state: State

    def sequence(self, n: int) -> "LayerResult":
        """That of one of N sequences; what is said of all together stays as it is."""
        return self._each(lambda values: values[n])

    def batch(self) -> "LayerResult":
        """That of a single sequence as one of N = 1."""
        return self._each(lambda values: np.asarray(values)[None])

    def _each(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> "LayerResult":
        names = ("h", "h_pruned", "c", "kept", "u_words_loaded", "kept_blocks")
        changed: dict[str, Any] = {name: change(getattr(self, name)) for name in names}
        return replace(self, **changed)


Packer = Callable[[Float16], Packed]
"""Packs one matrix, padded to sizes that the hardware takes. Raises ValueError for what its format does not hold."""


def pack_layer(
    w: ArrayLike,
    u: ArrayLike,
    b: ArrayLike,
    w_format: Format = Format.ESELL,
    u_format: Format = Format.ESELL,
    w_parameters: Parameters = OPEN,
    u_parameters: Parameters = OPEN,
) -> PackedLayer:
    """Pack w (4H, X), u (4H, H) and b (4H,), all float16, of any H and X, each matrix in its format.

    The parameters are what the packer may not choose. Raises TypeError for other dtypes, ValueError for shapes that do
    not fit and what a format does not hold. Other values are taken as they are: the hardware reports those that it
    cannot use.
    """
    return pack_layer_with(
        w,
        u,
        b,
        lambda matrix: stored(w_format).pack(matrix, w_parameters),
        lambda matrix: stored(u_format).pack(matrix, u_parameters),
    )


def pack_layer_with(w: ArrayLike, u: ArrayLike, b: ArrayLike, pack_w: Packer, pack_u: Packer) -> PackedLayer:
    """The same with a packer for each matrix."""
    arrays = {"w": np.asarray(w), "u": np.asarray(u), "b": np.asarray(b)}
    for name, a in arrays.items():
        if a.dtype != np.float16:
            raise TypeError(f"{name} must be float16, not {a.dtype}")
        if a.ndim != (1 if name == "b" else 2) or 0 in a.shape:
            raise ValueError(
                f"{name} must have {'one dimension' if name == 'b' else 'two dimensions'}, not shape {a.shape}"
            )
    (rows, inputs), hidden = arrays["w"].shape, arrays["u"].shape[1]
    if rows != GATES * hidden:
        raise ValueError(f"w must have 4H = {GATES * hidden} rows (u has H = {hidden} columns), not {rows}")
    if arrays["u"].shape[0] != rows:
        raise ValueError(f"u must have 4H = {rows} rows, not {arrays['u'].shape[0]}")
    if arrays["b"].shape != (rows,):
        raise ValueError(f"b must have shape ({rows},), not {arrays['b'].shape}")

    def gatewise(a: Float16, columns: int) -> Float16:
        by_gate = a.reshape(GATES, hidden, columns)
        return np.pad(by_gate, ((0, 0), (0, -hidden % BLOCK_COLS), (0, 0))).reshape(-1, columns)

    def padded(a: Float16) -> Float16:
        # Sizes of a layer are multiples of 4 even where a unit has one column
        return np.pad(gatewise(a, a.shape[1]), ((0, 0), (0, -a.shape[1] % BLOCK_COLS)))

    def packed(name: str, pack: Packer) -> Packed:
        try:
            return pack(padded(arrays[name]))
        except NotHeld as error:
            gate, row = divmod(error.row, hidden + -hidden % BLOCK_COLS)
            raise error.where(gate * hidden + row, name.upper()) from None

    packed_w, packed_u = packed("w", pack_w), packed("u", pack_u)
    return PackedLayer(packed_w, packed_u, gatewise(arrays["b"], 1).ravel(), inputs, hidden)


def _prepare_x(packed: PackedLayer, x: ArrayLike) -> tuple[Float16, bool]:
    """x as (N, T, X) fp16, and whether it was a single sequence."""
    values = np.asarray(x)
    if values.dtype not in (np.float32, np.float16):
        raise TypeError(f"x must be float32, not {values.dtype}")
    if values.ndim not in (2, 3) or values.shape[-1] not in (packed.inputs, packed.x) or 0 in values.shape:
        raise ValueError(f"x must have shape (T, {packed.inputs}) or (N, T, {packed.inputs}), not {values.shape}")
    batch = values.reshape(-1, *values.shape[-2:])
    half = numbers.to_fp16(np.pad(batch, ((0, 0), (0, 0), (0, packed.x - batch.shape[-1]))))
    return half, values.ndim == 2


class Layer:
    """A packed layer, decoded once to run many times.

    ``w``, ``u``: the weights as the hardware reads them; ``unit_cols``: columns of U, and so elements of h, that are
    kept or dropped together. With ``x_skip`` a unit of W is read, by its offset, for steps whose x there is not all
    +-0, and so are its faults.
    """

    def __init__(self, packed: PackedLayer, *, x_skip: bool = False) -> None:
        self.packed = packed
        w, u = self._decode(packed.w, known=x_skip), self._decode(packed.u, known=True)
        self.unit_cols = packed.u.parameters.unit_cols
        self.w, self.u = Matrix(w), Matrix(u)
        self.bias = numbers.bias_q20(packed.bias).astype(np.int32)
        self.errors: set[Error] = set()
        if w.bad_tables or u.bad_tables:
            self.errors.add(Error.BAD_WEIGHT)
        if not numbers.bias_valid(packed.bias).all():
            self.errors.add(Error.BAD_BIAS)
        # A unit that is never loaded is never seen
        self.u_errors = self._unit_errors(u, self.unit_cols)
        # Of W what is wrong somewhere: hardly ever anything, so that steps need not look at their x for it
        w_errors = self._unit_errors(w, packed.w.parameters.unit_cols)
        self.w_errors = {error: bad for error, bad in w_errors.items() if bad.any()}
        if not x_skip:
            self.errors |= self.w_errors.keys()

    @staticmethod
    def _unit_errors(decoded: Decoded, unit_cols: int) -> dict[Error, NDArray[np.bool_]]:
        """Of each error of a matrix which of its units has it."""
        errors = {error: np.zeros(decoded.cols // unit_cols, bool) for error in (Error.BAD_FORMAT, Error.BAD_WEIGHT)}
        errors[Error.BAD_FORMAT][list(decoded.faults)] = True
        errors[Error.BAD_WEIGHT][decoded.bad_columns] = True
        return errors

    def _errors_of_w(self, x: Float16) -> set[Error]:
        """Those of the units of W that steps x (..., X) need."""
        if self.w_errors.keys() <= self.errors:
            return set()
        units = len(next(iter(self.w_errors.values())))
        needed = (x != 0).reshape(-1, units, self.packed.x // units).any(axis=(0, 2))
        return {error for error, bad in self.w_errors.items() if (needed & bad).any()}

    @staticmethod
    def _decode(packed: Packed, *, known: bool) -> Decoded:
        """A matrix as the hardware reads it; known: by its offsets even where its words say where units end."""
        form = stored(packed.format)
        offsets = packed.offsets if known or form.needs_offsets else None
        return form.decode(packed.words, packed.rows, packed.cols, offsets, packed.parameters)

    def _sums(self, x: Float16, s: Float16) -> tuple[NDArray[np.int32], Overflow]:
        """z (N, 4H) of x (N, X) and the pruned h (N, H), and the worst overflow class."""
        bound = np.ldexp(self.w.bound(x) + self.u.bound(s), 20) + x.shape[1] + s.shape[1]
        # The slow way only where a sum could come near the limit of int32
        safe = bound + np.abs(self.bias.astype(np.int64)).max() < (1 << 31) - 1024
        z = np.empty((len(x), self.w.rows), dtype=np.int32)
        z[safe] = self.w.multiply(x[safe]) + self.u.multiply(s[safe]) + self.bias
        worst = 0
        for n in np.flatnonzero(~safe):
            a, b = self.w.multiply_checked(x[n]), self.u.multiply_checked(s[n])
            total = a.total + b.total + self.bias
            absolute = a.absolute + b.absolute + np.abs(self.bias.astype(np.int64))
            z[n] = total.astype(np.int32)
            if not (a.inside and b.inside) or (z[n] != total).any():
                worst = 2
            elif absolute.max() >= 1 << 31:
                worst = max(worst, 1)
        return z, _CLASSES[worst]

    def _unfinished_sums_overflow(self, x: Float16, s: Float16) -> bool:
        """Whether ACC_OVERFLOW can be reported by a run that another error ends anyway.

        x (N, T, X): the steps not computed. The hardware sums W x of several steps ahead, and U s(h), s (N, H), of the
        first, before it may come to what ends the run; words and operands that it cannot use add nothing.
        """
        for t in range(x.shape[1]):
            usable = np.isfinite(x[:, t]).all(axis=1)
            if usable.any() and self._sums(x[usable, t], s[usable])[1] != "none":
                return True
            s = np.zeros_like(s)
        return False

    def run(self, x: ArrayLike, threshold: float, state: State | None = None) -> LayerResult:
        """Run over x, (T, X) or (N, T, X) float32 (X with or without padding), threshold in fp32.

        ``state`` continues a sequence (h = c = 0 without it). What the hardware reports as an error is in the result;
        ValueError and TypeError are for arrays that do not fit the layer.
        """
        packed = self.packed
        half, single = _prepare_x(packed, x)
        n, steps, _ = half.shape
        old = State.zeros(n, packed.h) if state is None else state
        if old.h.shape not in ((packed.h,), (n, packed.h)):
            raise ValueError(f"state must have shape ({packed.h},) or ({n}, {packed.h}), not {old.h.shape}")
        errors = set(self.errors)
        overflow: Overflow = "none"
        finite = np.atleast_1d(np.isfinite(half).all(axis=(0, 2)))
        if not finite.all():
            errors.add(Error.BAD_X)
        if not numbers.state_h_valid(old.h).all():
            errors.add(Error.BAD_STATE)
        if np.isnan(threshold):
            errors = {Error.BAD_THRESHOLD}
        startable = not errors & {Error.BAD_STATE, Error.BAD_THRESHOLD}
        limit = numbers.threshold_q24(threshold) if startable else 0

        all_h = np.full((n, steps, packed.h), np.nan, dtype=np.float16)
        all_c = np.zeros((n, steps, packed.h), dtype=np.int32)
        kept = np.zeros((n, steps, packed.h // self.unit_cols), dtype=bool)
        h = np.broadcast_to(numbers.to_fp16(old.h), (n, packed.h))
        c = np.broadcast_to(old.c, (n, packed.h)).astype(np.int64)
        rows = 0
        pruned = np.zeros_like(h)
        for t in range(steps if startable else 0):
            keep = numbers.keep_units(h, limit, self.unit_cols)
            errors |= {error for error, bad in self.u_errors.items() if (keep & bad).any()}
            errors |= self._errors_of_w(half[:, t])
            pruned = np.where(np.repeat(keep, self.unit_cols, axis=1), h, np.float16(0))
            if errors - {Error.BAD_X} or not finite[t]:
                break
            z, overflow_now = self._sums(half[:, t], pruned)
            overflow = max(overflow, overflow_now, key=_CLASSES.index)
            if overflow == "must":
                errors.add(Error.ACC_OVERFLOW)
                break
            c, h = numbers.gates(z.reshape(n, GATES, packed.h), c)
            all_h[:, t], all_c[:, t], kept[:, t] = h, c, keep
            rows = t + 1

        if startable and errors:
            # W is read ahead of the step that ends the run
            errors |= self._errors_of_w(half[:, rows:])
        others = errors - {Error.ACC_OVERFLOW, Error.BAD_THRESHOLD}
        if others and self._unfinished_sums_overflow(half[:, rows:], pruned):
            errors.add(Error.ACC_OVERFLOW)
            overflow = max(overflow, "may", key=_CLASSES.index)

        last = numbers.keep_units(all_h[:, :rows], limit, self.unit_cols)
        all_pruned = all_h.copy()
        all_pruned[:, :rows][~np.repeat(last, self.unit_cols, axis=2)] = 0
        loaded = (kept @ packed.u.offsets.astype(np.int64)).sum(axis=1)
        final = State(h.astype(np.float32), c.astype(np.int32)) if startable else State.zeros(n, packed.h)

        def lead(a: NDArray) -> NDArray:
            return a[0] if single else a

        return LayerResult(
            h=lead(all_h.astype(np.float32)),
            h_pruned=lead(all_pruned.astype(np.float32)),
            c=lead(all_c),
            kept=lead(kept),
            w_words=len(packed.w.words),
            u_words=len(packed.u.words),
            u_words_loaded=lead(loaded),
            kept_blocks=lead(kept.sum(axis=(1, 2))),
            overflow=overflow,
            error=min(errors, default=Error.NONE),
            errors=frozenset(errors),
            rows=rows,
            state=State(lead(final.h), lead(final.c)),
        )


def run(packed: PackedLayer, x: ArrayLike, threshold: float, state: State | None = None) -> LayerResult:
    """``Layer(packed).run(x, threshold, state)``, for a single call."""
    return Layer(packed).run(x, threshold, state)
