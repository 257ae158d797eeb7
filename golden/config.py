"""Configurations: what may be chosen about the hardware, and the shape of a layer.

Everything here is frozen and validated on construction; values derived from a choice are properties, so that no
two rooms compute them differently. Sizes are in elements unless a name says bits, bytes or words (64 bits).
"""

from dataclasses import dataclass, fields

from golden.isa import FEATURES_LAYOUT, GROUP_SIZE_BITS, Format, InputFormat, Schedule

WORD_BYTES = 8
GATES = 4
BLOCK_ROWS = 8
BLOCK_COLS = 4
CHUNK_ROWS = 4
BANK_LANES = 16
LISTED_STEPS = 16
"""Time steps of one bank in a group of the list, at most."""
VECTOR_UNITS = (1, 2, 4, 8)
"""Units of h that a build with events may make in a cycle."""
RAM_BASE = 0x8000_0000


def _require(name: str, value: int, low: int, high: int, multiple: int = 1) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, not {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be in {low}..{high}, not {value}")
    if value % multiple:
        raise ValueError(f"{name} must be a multiple of {multiple}, not {value}")


@dataclass(frozen=True)
class AcceleratorConfig:
    """Parameters of the accelerator (the defaults are the design point of the paper).

    Attributes:
        n_pe: processing elements of 4 MACs; ``n_pe - 1`` work on W x, one on U h (2..8).
        slots: buffers of one W x result (4H sums) each, shared evenly by the ``n_pe - 1`` W PEs.
        max_x: largest input size X, elements, a multiple of 4.
        max_h: largest hidden size H, elements, a multiple of 4.
        max_t: largest number of time steps T of one run.
        window: outstanding memory requests (64-bit words), a power of two; also the number of memory tags.
        group_list: also run the list schedule: all PEs are one pool, and each has a bank of W x.
        esell, stream16, stream8: formats of weights that are read, at least one; with stream-8 a PE has 8 MACs, of
            which words of the others use 4.
        delta: changes of h can be sent instead of h, with sums kept from step to step; x and rows of h can be fp16.
        events: the event schedule and no other: changes of x are sent too, W and U share one PE and one bank; x can be
            uint8.
        vector_units: units of h that are made in a cycle, with events 1, 2, 4 or 8.
    """

    n_pe: int = 3
    slots: int = 12
    max_x: int = 1536
    max_h: int = 1536
    max_t: int = 65535
    window: int = 64
    group_list: bool = False
    esell: bool = True
    stream16: bool = False
    stream8: bool = False
    delta: bool = False
    events: bool = False
    vector_units: int = 1

    def __post_init__(self) -> None:
        if self.events:
            self._check_events()
        else:
            _require("n_pe", self.n_pe, 2, 8)
            _require("slots", self.slots, 2 * (self.n_pe - 1), 255)
            if self.vector_units != 1:
                raise ValueError(f"vector_units must be 1 without events, not {self.vector_units}")
        _require("max_x", self.max_x, 4, 8192, 4)
        # uint16 column offsets hold the words of one block column (at most 4.5 H) up to H = 14,563
        _require("max_h", self.max_h, 4, 8192, 4)
        _require("max_t", self.max_t, 1, 2**24 - 1)
        _require("window", self.window, 4, 1024)
        if self.window & (self.window - 1):
            raise ValueError(f"window must be a power of two, not {self.window}")
        if not self.formats:
            raise ValueError("one of esell, stream16, stream8 must be true, not all false")

    def _check_events(self) -> None:
        """What goes with events: one PE, no slots."""
        _require("n_pe", self.n_pe, 1, 1)
        _require("slots", self.slots, 0, 0)
        if self.vector_units not in VECTOR_UNITS:
            raise ValueError(
                f"vector_units must be one of {', '.join(map(str, VECTOR_UNITS))}, not {self.vector_units}"
            )
        if self.esell or self.group_list or not self.delta:
            raise ValueError("events must go with esell false, group_list false and delta true")

    @property
    def schedules(self) -> tuple[Schedule, ...]:
        """Schedules that run: events alone, or cell fusion always."""
        if self.events:
            return (Schedule.EVENTS,)
        return (Schedule.CELL_FUSION, *[Schedule.LIST] * self.group_list)

    @property
    def input_formats(self) -> tuple[InputFormat, ...]:
        """Formats of x that are read."""
        with_delta = (*[InputFormat.FP16] * self.delta, *[InputFormat.UINT8] * self.events)
        return (InputFormat.FP32, *with_delta)

    @property
    def formats(self) -> tuple[Format, ...]:
        """Formats of weights that are read."""
        built = {Format.ESELL: self.esell, Format.STREAM16: self.stream16, Format.STREAM8: self.stream8}
        return tuple(number for number, there in built.items() if there)

    @property
    def features(self) -> int:
        """What counter FEATURES says of a build."""
        numbers = {"schedules": self.schedules, "formats": self.formats, "input_formats": self.input_formats}
        return FEATURES_LAYOUT.pack(
            **{name: sum(1 << number for number in there) for name, there in numbers.items()},
            delta=self.delta,
            h_fp16=self.delta,
            vector_units=self.vector_units,
        )

    @property
    def w_pes(self) -> int:
        """PEs that work on W x."""
        return self.n_pe - 1

    @property
    def macs(self) -> int:
        """Multiply-accumulators: a PE takes a whole word of ``entries`` values in a cycle."""
        return self.entries * self.n_pe

    @property
    def streams(self) -> bool:
        """Whether a stream format is read: sums are cleared, and each entry of a word has a row group of its own."""
        return self.stream16 or self.stream8

    @property
    def entries(self) -> int:
        """Values of a word, at most."""
        return 2 * CHUNK_ROWS if self.stream8 else CHUNK_ROWS

    @property
    def keep_bits(self) -> int:
        """Bits that say what of a block of h is kept: one, or, as units of streams may be one column, one a column."""
        return BLOCK_COLS if self.streams or self.delta else 1

    @property
    def clears(self) -> bool:
        """Whether sums are added to from the first word on, and so must be 0 before."""
        return self.streams or self.group_list

    @property
    def fuse_capacity(self) -> int:
        """Largest N_fuse that runs: groups of ``N_fuse * w_pes`` steps are double-buffered; 0 with events."""
        return 0 if self.events else self.slots // (2 * self.w_pes)

    @property
    def w_banks(self) -> int:
        """Banks of W x: of every PE that ever works on it; with events there is none."""
        return self.n_pe if self.group_list else self.w_pes

    @property
    def bank_slots(self) -> int:
        """Results (of 4H sums) that one bank of W x holds: its share of two groups, whose steps go around the banks."""
        return 0 if self.events else -(-2 * self.fuse_capacity * self.w_pes // self.w_banks)

    @property
    def useful_slots(self) -> int:
        """Slots that runs can use: those of two groups, which hold no more steps than ``max_t`` fills."""
        return 0 if self.events else 2 * self.w_pes * min(self.fuse_capacity, -(-self.max_t // self.w_pes))

    @property
    def max_group(self) -> int:
        """Steps of a group of the list, at most: sizes have 6 bits, and each bank keeps a list of its steps."""
        return min((1 << GROUP_SIZE_BITS) - 1, LISTED_STEPS * self.n_pe)

    @property
    def max_rows(self) -> int:
        """Gate rows, 4H."""
        return 4 * self.max_h

    @property
    def row_groups(self) -> int:
        """Groups of 16 gate rows in one result; with events two for each two blocks of units."""
        return 2 * -(-self.h_blocks // 2) if self.events else self.max_rows // BANK_LANES

    @property
    def sums_at_once(self) -> int:
        """Sums of a bank that are read in a cycle: a row group, or as many as all gates of the cycle's units need."""
        return max(BANK_LANES, GATES * self.vector_units)

    @property
    def row_units(self) -> int:
        """Units of h whose values share a row of their memories: a block, or those of a cycle."""
        return max(BLOCK_COLS, self.vector_units)

    @property
    def row_blocks(self) -> int:
        """Blocks of such a row, 1 or 2."""
        return self.row_units // BLOCK_COLS

    @property
    def unit_rows(self) -> int:
        """Rows of ``row_units`` units; the last may be one of fewer."""
        return -(-self.max_h // self.row_units)

    @property
    def x_blocks(self) -> int:
        return self.max_x // BLOCK_COLS

    @property
    def h_blocks(self) -> int:
        return self.max_h // BLOCK_COLS

    @property
    def tag_bits(self) -> int:
        return (self.window - 1).bit_length()

    def exceeded(self, x: int, h: int, t: int) -> tuple[str, int, int] | None:
        """The first size of a layer that is over its limit, as (name, value, limit); None when it runs."""
        sizes = (("X", x, self.max_x), ("H", h, self.max_h), ("T", t, self.max_t))
        return next((each for each in sizes if each[1] > each[2]), None)

    def as_dict(self) -> dict[str, int]:
        """All of them as numbers, 0 or 1 for what a build has or has not."""
        return {f.name: int(getattr(self, f.name)) for f in fields(self)}


@dataclass(frozen=True)
class CoreConfig:
    """Parameters of the RV64IM core.

    Attributes:
        reset_address: first pc after reset, bytes.
        hart_id: value of mhartid.
        rvfi: add the RVFI trace port (riscv-formal's names).
    """

    reset_address: int = RAM_BASE
    hart_id: int = 0
    rvfi: bool = False

    def __post_init__(self) -> None:
        _require("reset_address", self.reset_address, 0, 2**64 - 4, 4)
        _require("hart_id", self.hart_id, 0, 2**63 - 1)


@dataclass(frozen=True)
class SocConfig:
    """Parameters of the SoC.

    Attributes:
        accelerator, core: of its parts.
        ram_bytes: size of the RAM at RAM_BASE, bytes, a multiple of 4096.
        cache_lines: lines of 64 bytes in the instruction cache, a power of two.
    """

    accelerator: AcceleratorConfig = AcceleratorConfig()
    core: CoreConfig = CoreConfig()
    ram_bytes: int = 2**31
    cache_lines: int = 32

    def __post_init__(self) -> None:
        _require("ram_bytes", self.ram_bytes, 4096, 2**48, 4096)
        _require("cache_lines", self.cache_lines, 2, 1024)
        if self.cache_lines & (self.cache_lines - 1):
            raise ValueError(f"cache_lines must be a power of two, not {self.cache_lines}")
        if self.core.reset_address not in self.ram:
            raise ValueError(f"reset_address must be in RAM, not {self.core.reset_address:#x}")

    @property
    def ram(self) -> range:
        """Addresses of the RAM."""
        return range(RAM_BASE, RAM_BASE + self.ram_bytes)

    @property
    def addr_bits(self) -> int:
        """Width of a byte address in RAM."""
        return (self.ram.stop - 1).bit_length()


@dataclass(frozen=True)
class LayerShape:
    """Shape of one LSTM layer as the hardware takes it: x (T, X), h (T, H), W (4H, X), U (4H, H), b (4H,)."""

    x: int
    h: int
    t: int

    def __post_init__(self) -> None:
        _require("X", self.x, 4, 2**20, 4)
        _require("H", self.h, 4, 2**20, 4)
        _require("T", self.t, 1, 2**32 - 1)

    @classmethod
    def padded(cls, x: int, h: int, t: int) -> "LayerShape":
        """The smallest hardware shape that holds a layer of any size."""
        return cls(-(-x // 4) * 4, -(-h // 4) * 4, t)

    @property
    def rows(self) -> int:
        return 4 * self.h

    @property
    def blocks_per_column(self) -> int:
        """Blocks of 8 rows in one block column."""
        return self.rows // BLOCK_ROWS

    @property
    def x_blocks(self) -> int:
        return self.x // BLOCK_COLS

    @property
    def h_blocks(self) -> int:
        return self.h // BLOCK_COLS


ACCELERATOR_PRESETS: dict[str, AcceleratorConfig] = {
    # Holds all six layers of the paper's Table 2.
    "default": AcceleratorConfig(group_list=True, stream16=True),
    # The same with PEs of 8 MACs, for stream-8.
    "stream8": AcceleratorConfig(group_list=True, stream16=True, stream8=True),
    # Just large enough for one benchmark each.
    "mnist": AcceleratorConfig(max_x=128, max_h=128, max_t=1023),
    "ptb": AcceleratorConfig(max_x=800, max_h=800),
    # For unit tests and slow simulators.
    "tiny": AcceleratorConfig(max_x=64, max_h=64, max_t=255),
    # Events alone: one PE, streams, four units of h a cycle.
    "event": AcceleratorConfig(
        n_pe=1,
        slots=0,
        max_x=128,
        max_h=128,
        max_t=1023,
        window=32,
        esell=False,
        stream16=True,
        stream8=True,
        delta=True,
        events=True,
        vector_units=4,
    ),
    # Off the paper's point in every parameter.
    "wide": AcceleratorConfig(n_pe=5, slots=24, max_x=256, max_h=256, max_t=4095, window=128),
}

CORE_PRESETS: dict[str, CoreConfig] = {
    "default": CoreConfig(),
    "rvfi": CoreConfig(rvfi=True),
}

SOC_PRESETS: dict[str, SocConfig] = {
    # One for each accelerator, by its name.
    **{name: SocConfig(accelerator) for name, accelerator in ACCELERATOR_PRESETS.items()},
    "rvfi": SocConfig(core=CORE_PRESETS["rvfi"]),
}


def preset(name: str) -> AcceleratorConfig:
    """The accelerator preset of that name; ValueError names the ones that exist."""
    try:
        return ACCELERATOR_PRESETS[name]
    except KeyError:
        raise ValueError(f"no preset {name!r}; there are: {', '.join(ACCELERATOR_PRESETS)}") from None
