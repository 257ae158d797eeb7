"""The accelerator without time: every command answered as the hardware does, every run computed by golden.

A run takes effect when the program can tell that it has ended: at a fence, at a command that waits for it, or when
its status was read once and said busy. Until then h keeps what it held, so that a program that reads h without a
fence reads what was there before, as it may on the hardware. Of the counters those that follow from the data are
right; CYCLES is the published model's figure; the reasons for stalls read 0. There is no interrupt.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from golden import isa
from golden.config import GATES, WORD_BYTES, AcceleratorConfig
from golden.cycles import CELL_FUSION, SCHEDULES, u_words_of_steps
from golden.formats import OPEN, FormatError, Packed, Parameters, stored, unpack_halves
from golden.isa import COUNTER_SUMS, START_CHECKS, Counter, Error, Flags, Format, Funct, InputFormat, Schedule
from golden.layer import Layer, LayerResult, PackedLayer
from golden.memory import h_bytes, state_from_bytes, x_from_bytes, x_row_bytes
from golden.numbers import fp16_from_bits
from sim.layers.counters import expected
from sim.layers.jobs import LayerCall
from sim.layers.words import RunWords, parameters

_INFINITY = 0x7F80_0000
_LAYERS_KEPT = 8
_TABLE_WORDS = 16
"""Of one matrix."""
_ADDRESSES = {
    Funct.WEIGHTS: ("w", "bias"),
    Funct.FUSION: ("u_offsets", None),
    Funct.DATA: ("x", "h"),
    Funct.EXTENSION: ("w_offsets", "state"),
    Funct.STREAMS: (None, "tables"),
}
_NEEDS = {row.funct: (row.rs1 is not None, row.rs2 is not None) for row in isa.INSTRUCTIONS}


class MemoryFault(Exception):
    """There is no memory at the address."""


class Memory(Protocol):
    """64-bit words at multiples of 8; both methods raise MemoryFault."""

    def load(self, address: int) -> int: ...
    def store(self, address: int, word: int) -> None: ...


@dataclass(frozen=True)
class Command:
    """An instruction with its operands; an absent operand has its xs bit clear."""

    funct: int
    rs1: int = 0
    rs2: int = 0
    xs1: bool = True
    xs2: bool = True
    opcode: int = isa.CUSTOM_0


@dataclass(frozen=True)
class Start:
    """One START as it ended: sizes, the N_fuse that ran, the error's name or "NONE", complete rows, cycles by the
    schedule's published model or, where it has none, its own (0 when the run failed), words of U loaded and blocks of h
    kept, the schedule's name and its groups."""

    x: int
    h: int
    t: int
    n_fuse: int
    error: str
    rows: int = 0
    cycles: int = 0
    u_words: int = 0
    kept_blocks: int = 0
    schedule: str = CELL_FUSION.name
    groups: tuple[int, ...] = ()


@dataclass
class _Run:
    """What a run will leave when it ends."""

    error: Error
    rows: int = 0
    stores: list[tuple[int, bytes]] = field(default_factory=list)
    rows_before: list[int] = field(default_factory=list)
    counters: dict[Counter, int] = field(default_factory=dict)
    start: Start | None = None


class _Failed(Exception):
    def __init__(self, error: Error) -> None:
        self.error = error


class Accelerator:
    """``command`` issues an instruction and returns what its response holds; ``fence`` waits for the run.

    ``started`` is called with each START when it has ended.
    """

    def __init__(
        self, config: AcceleratorConfig, memory: Memory, started: Callable[[Start], None] = lambda start: None
    ) -> None:
        self._config, self._memory, self._started = config, memory, started
        self._layers: dict[tuple[object, ...], Layer] = {}
        self._run: _Run | None = None
        self._code, self._done, self._rows = Error.NONE, False, 0
        self._counters: dict[Counter, int] = {}
        self._clear()

    def _clear(self) -> None:
        """As reset and ABORT leave the registers."""
        self._bad_command = False
        self._sizes = self._steps = self._at = (0, 0)
        self._n_fuse = self._streams = self._x_threshold = 0
        self._groups: tuple[int, ...] = ()
        self._address = dict.fromkeys(("w", "bias", "u_offsets", "x", "h", "w_offsets", "state", "tables"), 0)

    def fence(self) -> None:
        """Let the run end."""
        if self._run is not None:
            self._end(self._run)

    def command(self, command: Command) -> int:
        """The response that the instruction would get with xd = 1."""
        if command.funct not in (Funct.COUNTER, Funct.ABORT):
            self.fence()
        needs = _NEEDS.get(Funct(command.funct)) if command.funct in _NEEDS else None
        if needs is None or command.opcode != isa.CUSTOM_0 or needs[0] > command.xs1 or needs[1] > command.xs2:
            self._bad_command = True
            return self._status()
        match Funct(command.funct):
            case Funct.SIZES:
                self._sizes = command.rs1, command.rs2
            case Funct.STEPS:
                self._steps = command.rs1 & 0xFFFF_FFFF, command.rs2
            case Funct.START:
                self._start(command.rs1, command.rs2)
            case Funct.EVENTS:
                self._x_threshold = command.rs1 & 0xFFFF_FFFF
            case Funct.GROUPS:
                self._groups = isa.group_sizes(command.rs1, command.rs2)
            case Funct.COUNTER:
                return self._counter(command.rs1)
            case Funct.ABORT:
                self._abort()
            case funct:
                if funct == Funct.FUSION:
                    self._n_fuse = command.rs2
                if funct == Funct.STREAMS:
                    self._streams = command.rs1
                for name, value in zip(_ADDRESSES[funct], (command.rs1, command.rs2), strict=True):
                    if name:
                        self._address[name] = value
        return self._status()

    def _status(self) -> int:
        if self._run is not None:
            return isa.STATUS_LAYOUT.pack(busy=1)
        error = self._code != Error.NONE
        return isa.STATUS_LAYOUT.pack(done=self._done, error=error, code=self._code, rows=self._rows)

    def _counter(self, index: int) -> int:
        config = self._config
        if index == Counter.STATUS:
            status = self._status()
            self.fence()
            return status
        if index == Counter.VERSION:
            build = {name: getattr(config, name) for name in isa.VERSION_LAYOUT.fields if name != "version"}
            return isa.VERSION_LAYOUT.pack(version=isa.VERSION, **build)
        if index == Counter.FEATURES:
            return config.features
        known = {} if self._run is not None else self._counters
        return known.get(Counter(index), 0) if index in Counter.__members__.values() else 0

    def _abort(self) -> None:
        if self._run is not None and self._run.start is not None:
            self._started(replace(self._run.start, error=Error.ABORTED.name, rows=0, cycles=0))
        self._code = Error.ABORTED if self._run is not None else Error.NONE
        self._done, self._rows, self._run = self._run is not None, 0, None
        self._clear()

    def _refusal(self, u: int, flags: int) -> Error:
        """The first check that fails, or NONE."""
        config, (x, h), (threshold, steps) = self._config, self._sizes, self._steps
        uses_state = bool(flags & (Flags.STATE_IN | Flags.STATE_OUT))
        w_format, u_format = (field.of(flags) for field in (isa.W_FORMAT_FIELD, isa.U_FORMAT_FIELD))
        schedule, x_format = isa.SCHEDULE_FIELD.of(flags), isa.X_FORMAT_FIELD.of(flags)
        listed, by_events = schedule == Schedule.LIST, schedule == Schedule.EVENTS
        knows_w = bool(flags & Flags.X_SKIP) or w_format != Format.ESELL
        uses_tables = Format.STREAM8 in (w_format, u_format)
        used = ["w", "bias", "u_offsets", "x", "h", *["state"] * uses_state]
        used += [*["w_offsets"] * knows_w, *["tables"] * uses_tables]
        fails = {
            Error.BAD_COMMAND: self._bad_command,
            Error.BAD_SIZE: any(
                not 0 < size <= limit or size % 4 for size, limit in ((x, config.max_x), (h, config.max_h))
            ),
            Error.BAD_T: not 0 < steps <= config.max_t,
            Error.BAD_N_FUSE: self._n_fuse == 0 or (listed and config.group_list and not self._groups),
            Error.MISALIGNED: bool(u % 8) or any(self._address[name] % 8 for name in used),
            Error.BAD_FLAGS: isa.refused(flags)
            or not {w_format, u_format} <= set(config.formats)
            or schedule not in config.schedules
            or x_format not in config.input_formats
            or (bool(flags & (Flags.DELTA | Flags.H_FP16)) and not config.delta)
            or (by_events and not flags & Flags.DELTA)
            or (bool(flags & Flags.X_SKIP) and not (listed or by_events))
            or any(
                number and number in config.formats and not stored(number).takes(self._parameters(name))
                for name, number in (("w", w_format), ("u", u_format))
            )
            or (uses_state and not self._address["state"])
            or (knows_w and not self._address["w_offsets"])
            or (uses_tables and not self._address["tables"]),
            Error.BAD_THRESHOLD: threshold & 0x7FFF_FFFF > _INFINITY
            or (by_events and self._x_threshold & 0x7FFF_FFFF > _INFINITY),
        }
        return next((error for error in START_CHECKS if fails[error]), Error.NONE)

    def _start(self, u: int, bits: int) -> None:
        refusal = self._refusal(u, bits)
        self._bad_command, self._done, self._rows, self._counters = False, False, 0, {}
        (x, h), (_, steps) = self._sizes, self._steps
        n_fuse = min(self._n_fuse, self._config.fuse_capacity)
        if refusal:
            self._code, self._done = refusal, True
            self._started(Start(x, h, steps, n_fuse, refusal.name))
            return
        try:
            run = self._compute(u, Flags(bits), n_fuse)
        except _Failed as failed:
            run = _Run(failed.error)
        except MemoryFault:
            run = _Run(Error.MEM_READ)
        run.start = run.start or Start(x, h, steps, n_fuse, run.error.name, run.rows)
        run.counters[Counter.N_FUSE] = n_fuse
        self._code, self._run = Error.NONE, run

    def _words(self, address: int, count: int) -> NDArray[np.uint64]:
        load = self._memory.load
        return np.array([load(at) for at in range(address, address + 8 * count, 8)], dtype=np.uint64)

    def _word(self, address: int, place: int) -> int:
        """Word ``place`` of an array."""
        return self._memory.load(address + WORD_BYTES * place)

    def _parameters(self, name: str) -> Parameters:
        """What STREAMS said of a matrix, w or u, without its tables."""
        gap, unit = (isa.STREAMS_LAYOUT.place(f"{name}_{field}").of(self._streams) for field in ("gap_bits", "unit"))
        return Parameters(gap or None, unit + 1)

    def _packed(self, name: str, number: Format, columns: int, address: int, *, known: bool) -> Packed:
        """A matrix, by its offsets where they are ``known``; else its words tell its length."""
        form, rows = stored(number), 4 * self._sizes[1]
        parameters = OPEN
        if form.needs_offsets:
            parameters = self._parameters(name)
        if form.has_tables:
            halves = unpack_halves(self._words(self._address["tables"], 2 * _TABLE_WORDS), 8 * _TABLE_WORDS)
            tables = fp16_from_bits(halves).reshape(2, GATES, -1)["wu".index(name)]
            parameters = replace(parameters, tables=tables)
        units = form.units(columns, parameters)
        offsets = np.zeros(units, np.uint16)
        if known:
            offsets = unpack_halves(self._words(self._address[f"{name}_offsets"], -(-units // 4)), units)
            words = self._words(address, int(offsets.sum(dtype=np.int64)))
        else:
            parts = []
            try:
                for unit in range(units):
                    parts.append(form.read(partial(self._word, address), rows, parameters.unit_cols))
                    offsets[unit] = len(parts[-1])
                    address += WORD_BYTES * len(parts[-1])
            except FormatError:
                raise _Failed(Error.BAD_FORMAT) from None
            words = np.concatenate(parts)
        return Packed(words, offsets, rows, columns, 0, number, parameters)

    def _layer(self, u: int, flags: int) -> Layer:
        """The layer that the registers point at; decoded once as long as memory holds the same."""
        x, h = self._sizes
        w_format, u_format = Format(isa.W_FORMAT_FIELD.of(flags)), Format(isa.U_FORMAT_FIELD.of(flags))
        delta, events = bool(flags & Flags.DELTA), isa.SCHEDULE_FIELD.of(flags) == Schedule.EVENTS
        known, skips = bool(flags & Flags.X_SKIP), bool(flags & Flags.X_SKIP) and not events
        w = self._packed("w", w_format, x, self._address["w"], known=known or stored(w_format).needs_offsets)
        u_matrix = self._packed("u", u_format, h, u, known=True)
        bias = self._words(self._address["bias"], h)
        held = [
            part.tobytes()
            for matrix in (w, u_matrix)
            for part in (matrix.words, matrix.offsets, matrix.parameters.tables)
            if part is not None
        ]
        key = (x, w_format, u_format, self._streams, skips, delta, events, *held, bias.tobytes())
        if key not in self._layers:
            packed = PackedLayer(w, u_matrix, fp16_from_bits(unpack_halves(bias, 4 * h)), x, h)
            if len(self._layers) == _LAYERS_KEPT:
                del self._layers[next(iter(self._layers))]
            self._layers[key] = Layer(packed, x_skip=skips, delta=delta, events=events)
        return self._layers[key]

    def _compute(self, u: int, flags: Flags, n_fuse: int) -> _Run:
        (x_size, h_size), (threshold_bits, steps) = self._sizes, self._steps
        layer = self._layer(u, flags)
        schedule = Schedule(isa.SCHEDULE_FIELD.of(flags))
        groups = self._groups if schedule == Schedule.LIST else ()
        x_format = InputFormat(isa.X_FORMAT_FIELD.of(flags))
        row_words = x_row_bytes(x_size, x_format) // WORD_BYTES
        x = x_from_bytes(self._words(self._address["x"], steps * row_words).tobytes(), x_size, x_format)
        thresholds = np.array([threshold_bits, self._x_threshold], np.uint32).view(np.float32)
        call = LayerCall(
            layer.packed, x, float(thresholds[0]), n_fuse, flags & ~Flags.STATE_IN, None, schedule, groups,
            float(thresholds[1]), x_format,
        )  # fmt: skip
        if flags & Flags.STATE_IN:
            content = self._words(self._address["state"], call.state_bytes // WORD_BYTES).tobytes()
            state = state_from_bytes(content, h_size, x_size, delta=call.delta, events=call.events)
            call = replace(call, state=state)
        result = call.golden(layer)
        run = _Run(result.error, result.rows)
        rows = result.h_pruned if flags & Flags.H_PRUNED else result.h
        if flags & Flags.H_SEQ:
            stored_rows = [h_bytes(row, call.h_fp16) for row in rows[: result.rows]]
            run.stores = [(self._address["h"] + len(row) * t, row) for t, row in enumerate(stored_rows)]
            run.rows_before = list(range(result.rows))
        if result.error:
            return run
        if not flags & Flags.H_SEQ:
            run.stores, run.rows_before = [(self._address["h"], h_bytes(rows[-1], call.h_fp16))], [steps - 1]
        if flags & Flags.STATE_OUT:
            run.stores.append((self._address["state"], result.state.to_bytes()))
            run.rows_before.append(steps)
        self._account(run, call, result, n_fuse)
        return run

    def _account(self, run: _Run, call: LayerCall, result: LayerResult, n_fuse: int) -> None:
        """The counters of a run that succeeds, and its record."""
        packed, config = call.packed, self._config
        u_words = u_words_of_steps(result.kept, packed.u.offsets)
        schedule, words = SCHEDULES.numbered(call.schedule), RunWords.of(call, result)
        said = words.by(schedule, config, parameters(schedule, call, config))
        cycles = said.word.cycles if said.published is None else said.published
        run.counters = expected(call, result, config) | {Counter.CYCLES: cycles}
        for row in COUNTER_SUMS:
            if row.total == Counter.PORT_BUSY:
                run.counters[row.total] = sum(run.counters[part] for part in row.parts)
        kept = int(result.kept_blocks)
        run.start = Start(
            packed.x, packed.h, call.steps, n_fuse, Error.NONE.name, result.rows, cycles, int(u_words.sum()), kept,
            schedule.name, call.groups,
        )  # fmt: skip

    def _end(self, run: _Run) -> None:
        """The run's stores reach memory, and its status shows."""
        self._run, self._done = None, True
        self._code, self._rows, self._counters = run.error, run.rows, run.counters
        for (address, content), rows in zip(run.stores, run.rows_before, strict=True):
            try:
                for at in range(0, len(content), 8):
                    self._memory.store(address + at, int.from_bytes(content[at : at + 8], "little"))
            except MemoryFault:
                self._code, self._rows = Error.MEM_WRITE, rows
                break
        assert run.start is not None
        if self._code.name != run.start.error:
            run.start = replace(run.start, error=self._code.name, rows=self._rows, cycles=0)
        self._started(run.start)
