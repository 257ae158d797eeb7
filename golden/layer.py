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
from golden.recurrence import Changes, Held, Pruned, Recurrence, State
from golden.sends import Int32, sends
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
class LayerResult:
    """What the layer computes; ``...`` is nothing for x of (T, X) and N for x of (N, T, X). H is the padded size.

    h: (..., T, H) float32, unpruned; h_pruned: the same with +0 in every unit that the next step drops, with DELTA what
    it holds; c: (..., T, H) int32 Q12.20; kept: (..., T, H/u) bool for U's units of u columns (4; a stream format's
    may be 1), the mask applied to h of the step before, with DELTA what is sent of it;
    x_sent: (..., T, X/u) with events, for W's units, else (..., T, 0);
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
    x_sent: NDArray[np.bool_]
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
        names = ("h", "h_pruned", "c", "kept", "x_sent", "u_words_loaded", "kept_blocks")
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
    +-0, and so are its faults. With ``delta`` the changes of h are sent instead of h, with ``events`` those of x too.
    """

    def __init__(self, packed: PackedLayer, *, x_skip: bool = False, delta: bool = False, events: bool = False) -> None:
        if events and not delta:
            raise ValueError("events are changes of x beside those of h: they need delta")
        self.packed, self.delta, self.events = packed, delta, events
        by_need = x_skip or events
        w, u = self._decode(packed.w, known=by_need), self._decode(packed.u, known=True)
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
        if not by_need:
            self.errors |= self.w_errors.keys()

    @staticmethod
    def _unit_errors(decoded: Decoded, unit_cols: int) -> dict[Error, NDArray[np.bool_]]:
        """Of each error of a matrix which of its units has it."""
        errors = {error: np.zeros(decoded.cols // unit_cols, bool) for error in (Error.BAD_FORMAT, Error.BAD_WEIGHT)}
        errors[Error.BAD_FORMAT][list(decoded.faults)] = True
        errors[Error.BAD_WEIGHT][decoded.bad_columns] = True
        return errors

    def _errors_of_w(self, x: Float16) -> set[Error]:
        """Those of the units of W that steps x (..., X), or their changes, need."""
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

    def _sums(self, x: Float16, s: Float16, before: Int32 | None) -> tuple[NDArray[np.int32], Int32, Overflow]:
        """z (N, 4H) of x (N, X), of s (N, H), by which U is multiplied, and of the sums ``before`` (N, 4H); those sums
        afterwards, with U s and with events W x; the worst overflow class."""
        old = np.zeros((len(x), self.w.rows), dtype=np.int32) if before is None else before
        bias = self.bias.astype(np.int64)
        most = np.abs(old.astype(np.int64)).max(axis=1) + np.abs(bias).max()
        bound = np.ldexp(self.w.bound(x) + self.u.bound(s), 20) + x.shape[1] + s.shape[1] + most
        # The slow way only where a sum could come near the limit of int32
        safe = bound < (1 << 31) - 1024
        z, after = np.empty_like(old), np.empty_like(old)
        of_x = self.w.multiply(x[safe])
        after[safe] = old[safe] + self.u.multiply(s[safe]) + (of_x if self.events else 0)
        z[safe] = after[safe] + (0 if self.events else of_x) + self.bias
        worst = 0
        for n in np.flatnonzero(~safe):
            a, b = self.w.multiply_checked(x[n]), self.u.multiply_checked(s[n])
            sums = old[n] + b.total + (a.total if self.events else 0)
            total = sums + bias + (0 if self.events else a.total)
            absolute = a.absolute + b.absolute + np.abs(bias) + np.abs(old[n].astype(np.int64))
            after[n], z[n] = sums.astype(np.int32), total.astype(np.int32)
            lost = (z[n] != total).any() or (self.delta and (after[n] != sums).any())
            if not (a.inside and b.inside) or lost:
                worst = 2
            elif absolute.max() >= 1 << 31:
                worst = max(worst, 1)
        return z, after, _CLASSES[worst]

    def _unfinished_sums_overflow(self, x: Float16, s: Float16, before: Int32 | None) -> bool:
        """Whether ACC_OVERFLOW can be reported by a run that another error ends anyway.

        x (N, T, X): the steps not computed. The hardware sums W x of several steps ahead, and U s, s (N, H), of the
        first, before it may come to what ends the run; words and operands that it cannot use add nothing.
        """
        for t in range(x.shape[1]):
            usable = np.isfinite(x[:, t]).all(axis=1)
            old = None if before is None else before[usable]
            if usable.any() and self._sums(x[usable, t], s[usable], old)[2] != "none":
                return True
            s = np.zeros_like(s)
        return False

    def _changes_of_x(self, half: Float16, held: Int32, threshold: int) -> tuple[Float16, NDArray[np.bool_], Int32]:
        """What is sent of x (N, T, X), which units of W (N, T, X/u) that takes, and what is held after each step."""
        n, steps, _ = half.shape
        cols = self.packed.w.parameters.unit_cols
        changes, all_held = np.zeros_like(half), np.zeros(half.shape, np.int32)
        sent = np.zeros((n, steps, self.packed.x // cols), dtype=bool)
        # what cannot be used ends the run; it changes nothing
        q24 = numbers.q24_of_fp16(np.where(np.abs(half) <= 1, half, np.float16(0)))
        for t in range(steps):
            found = sends(q24[:, t], held, threshold, cols)
            changes[:, t], sent[:, t], held = found.change, found.sent, found.held
            all_held[:, t] = held
        return changes, sent, all_held

    def _old_state(self, state: State | None, n: int) -> tuple[Float16, NDArray[np.int64], Held]:
        """h, c and what is held at first, each for n sequences. Raises ValueError for shapes that do not fit."""
        packed = self.packed
        old = State.zeros(n, packed.h) if state is None else state
        held = old.held or Held.zeros(*old.h.shape, inputs=packed.x)
        wanted: list[tuple[str, NDArray, int]] = [("h", old.h, packed.h)]
        if self.delta:
            wanted += [("what is held of h", held.h, packed.h), ("the sums", held.sums, 4 * packed.h)]
        if self.events:
            wanted.append(("what is held of x", np.zeros(0) if held.x is None else held.x, packed.x))
        for name, array, width in wanted:
            if array.shape not in ((width,), (n, width)):
                prefix = "state" if name == "h" else f"state: {name}"
                raise ValueError(f"{prefix} must have shape ({width},) or ({n}, {width}), not {array.shape}")

        def each(array: NDArray, width: int) -> NDArray:
            return np.broadcast_to(array, (n, width))

        x_held = each(held.x, packed.x) if self.events and held.x is not None else None
        sums = each(held.sums, 4 * packed.h) if self.delta else held.sums
        kept = Held(each(held.h, packed.h) if self.delta else held.h, sums, x_held)
        return each(numbers.to_fp16(old.h), packed.h), each(old.c, packed.h).astype(np.int64), kept

    def run(self, x: ArrayLike, threshold: float, state: State | None = None, x_threshold: float = 0.0) -> LayerResult:
        """Run over x, (T, X) or (N, T, X) float32 (X with or without padding), threshold in fp32.

        ``state`` continues a sequence (all zero without it); ``x_threshold`` is that of x with events. What the
        hardware reports as an error is in the result; ValueError and TypeError are for arrays that do not fit.
        """
        packed, cols = self.packed, self.unit_cols
        half, single = _prepare_x(packed, x)
        n, steps, _ = half.shape
        h, c, held = self._old_state(state, n)
        errors = set(self.errors)
        overflow: Overflow = "none"
        usable = np.abs(half) <= 1 if self.events else np.isfinite(half)
        finite = np.atleast_1d(usable.all(axis=(0, 2)))
        if not finite.all():
            errors.add(Error.BAD_X)
        if state is not None and not (numbers.state_h_valid(state.h).all() and held.valid):
            errors.add(Error.BAD_STATE)
        if np.isnan(threshold) or np.isnan(x_threshold):
            errors = {Error.BAD_THRESHOLD}
        startable = not errors & {Error.BAD_STATE, Error.BAD_THRESHOLD}
        if not startable:
            # what is held may be too much for any arithmetic
            held = Held.zeros(n, packed.h, inputs=packed.x if self.events else None)
        limit, x_limit = (numbers.threshold_q24(each) if startable else 0 for each in (threshold, x_threshold))
        x_sent, x_held = np.zeros((n, steps, 0), dtype=bool), None
        if self.events and held.x is not None:
            half, x_sent, x_held = self._changes_of_x(half, held.x, x_limit)
        hidden: Recurrence = Changes(limit, cols, held.h, held.sums) if self.delta else Pruned(limit, cols)

        all_h = np.full((n, steps, packed.h), np.nan, dtype=np.float16)
        all_rows = all_h.copy()
        all_c = np.zeros((n, steps, packed.h), dtype=np.int32)
        kept = np.zeros((n, steps, packed.h // cols), dtype=bool)
        rows = 0
        read = hidden.read(h if startable else np.zeros_like(h))
        for t in range(steps if startable else 0):
            errors |= {error for error, bad in self.u_errors.items() if (read.kept & bad).any()}
            errors |= self._errors_of_w(half[:, t])
            if errors - {Error.BAD_X} or not finite[t]:
                break
            z, sums, overflow_now = self._sums(half[:, t], read.operand, hidden.sums)
            overflow = max(overflow, overflow_now, key=_CLASSES.index)
            if overflow == "must":
                errors.add(Error.ACC_OVERFLOW)
                break
            hidden.take(sums)
            c, h = numbers.gates(z.reshape(n, GATES, packed.h), c)
            all_h[:, t], all_c[:, t], kept[:, t] = h, c, read.kept
            read = hidden.read(h)
            all_rows[:, t] = read.row
            rows = t + 1

        if startable and errors:
            # W is read ahead of the step that ends the run
            errors |= self._errors_of_w(half[:, rows:])
        others = errors - {Error.ACC_OVERFLOW, Error.BAD_THRESHOLD}
        if others and self._unfinished_sums_overflow(half[:, rows:], read.operand, hidden.sums):
            errors.add(Error.ACC_OVERFLOW)
            overflow = max(overflow, "may", key=_CLASSES.index)

        def lead(a: NDArray) -> NDArray:
            return a[0] if single else a

        if not startable:
            h, c = np.zeros_like(h), np.zeros_like(c)
        after = None
        if isinstance(hidden, Changes):
            x_after = held.x if x_held is None or not rows else x_held[:, rows - 1]
            after = Held(lead(hidden.held), lead(hidden.sums), None if x_after is None else lead(x_after))
        return LayerResult(
            h=lead(all_h.astype(np.float32)),
            h_pruned=lead(all_rows.astype(np.float32)),
            c=lead(all_c),
            kept=lead(kept),
            x_sent=lead(x_sent),
            w_words=len(packed.w.words),
            u_words=len(packed.u.words),
            u_words_loaded=lead((kept @ packed.u.offsets.astype(np.int64)).sum(axis=1)),
            kept_blocks=lead(kept.sum(axis=(1, 2))),
            overflow=overflow,
            error=min(errors, default=Error.NONE),
            errors=frozenset(errors),
            rows=rows,
            state=State(lead(h.astype(np.float32)), lead(c.astype(np.int32)), after),
        )


def run(packed: PackedLayer, x: ArrayLike, threshold: float, state: State | None = None) -> LayerResult:
    """``Layer(packed).run(x, threshold, state)``, for a single call."""
    return Layer(packed).run(x, threshold, state)
