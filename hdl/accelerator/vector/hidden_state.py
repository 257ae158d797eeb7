"""The hidden state: collects units to blocks, decides which blocks are kept, and holds them for U and for storing."""

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.config import AcceleratorConfig
from hdl.accelerator.layout import ParametersSignature, Widths
from hdl.common.arith import fp16_magnitude
from hdl.common.ram import Ram


class HiddenState(wiring.Component):
    """Takes units in ascending order, one a cycle; row 0 is the state where one is loaded, else step 0.

    ``published`` pulses when a block of 4 can be read: its keep bit (``keep_addr``/``keep``) and its values
    (``h_addr``/``h``), each one cycle later. The last two rows stay for ``store_half``, ``store_addr``:
    ``store_keep`` and ``store_h``. ``row_done`` pulses with the last block of a step.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        w = Widths(cfg)
        block = data.ArrayLayout(unsigned(16), 4)
        super().__init__(
            {
                "parameters": In(ParametersSignature(cfg)),
                "unit_valid": In(1),
                "unit": In(16),
                "published": Out(1),
                "row_done": Out(1),
                "keep_addr": In(w.h_blocks),
                "keep": Out(1),
                "h_en": In(1),
                "h_addr": In(w.h_blocks),
                "h": Out(block),
                "store_half": In(1),
                "store_addr": In(w.h_blocks),
                "store_keep": Out(1),
                "store_h": Out(block),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg, w, p = self.cfg, Widths(self.cfg), self.parameters
        m.submodules.keeps = keeps = Ram(1, cfg.h_blocks)
        m.submodules.blocks = blocks = Ram(64, cfg.h_blocks)
        m.submodules.rows = rows = Ram(65, 2 * cfg.h_blocks)

        position = Signal(2)
        previous = Signal(48)
        total = Signal(27)
        large = Signal()
        magnitude = fp16_magnitude(self.unit)
        total_now = Signal(27)
        large_now = Signal()
        block_now = Signal(64)
        m.d.comb += [
            total_now.eq(Mux(position == 0, 0, total) + magnitude),
            large_now.eq(((position != 0) & large) | ((magnitude << 1) >= p.threshold)),
            block_now.eq(Cat(previous, self.unit)),
        ]
        complete = self.unit_valid & (position == 3)
        with m.If(self.unit_valid):
            m.d.sync += [
                position.eq(position + 1),
                total.eq(total_now),
                large.eq(large_now),
                previous.eq(block_now[16:]),
            ]

        # One cycle later the block is written, and readable in the cycle after.
        write = Signal()
        values = Signal(64)
        keep = Signal()
        addr = Signal(w.h_blocks)
        last = addr + 1 == p.h_blocks
        is_state = Signal(init=1)
        half = Signal()
        m.d.sync += [write.eq(complete), keep.eq((total_now >= p.threshold) | large_now), values.eq(block_now)]
        with m.If(write):
            m.d.sync += addr.eq(Mux(last, 0, addr + 1))
            with m.If(last):
                m.d.sync += [is_state.eq(0), half.eq(half ^ ~(is_state & p.state_in))]
        m.d.sync += self.published.eq(write)
        m.d.comb += [
            self.row_done.eq(write & last & ~(is_state & p.state_in)),
            keeps.write_en.eq(write),
            keeps.write_addr.eq(addr),
            keeps.write_data.eq(keep),
            keeps.read_en.eq(1),
            keeps.read_addr.eq(self.keep_addr),
            self.keep.eq(keeps.read_data),
            blocks.write_en.eq(write),
            blocks.write_addr.eq(addr),
            blocks.write_data.eq(values),
            blocks.read_en.eq(self.h_en),
            blocks.read_addr.eq(self.h_addr),
            self.h.as_value().eq(blocks.read_data),
            rows.write_en.eq(write),
            rows.write_addr.eq(addr + Mux(half, cfg.h_blocks, 0)),
            rows.write_data.eq(Cat(values, keep)),
            rows.read_en.eq(1),
            rows.read_addr.eq(self.store_addr + Mux(self.store_half, cfg.h_blocks, 0)),
            Cat(self.store_h.as_value(), self.store_keep).eq(rows.read_data),
        ]
        return m
