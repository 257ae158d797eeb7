"""The pipeline of both paths: a decoded value word, PEs that multiply it, the banks that they add to."""

from itertools import pairwise

from amaranth import Cat, Module, Signal, signed
from amaranth.hdl import ShapeLike
from amaranth.lib.wiring import In, Out

from golden.config import BANK_LANES, AcceleratorConfig
from hdl.accelerator.layout import HALVES, SUM_BITS, item_layout
from hdl.accelerator.result_bank import ResultBank
from hdl.accelerator.spmv_pe import SpmvPe
from hdl.common.component import Component

LANE_LATENCY = 3
"""Cycles from an item to its sums."""


class SpmvLane(Component):
    """Gives one value word a cycle to PEs side by side, each with a result bank of its own.

    Parameters:
        depth: row groups in each memory of a bank.
        pes: PEs that take the same words.
        memories: memories of a bank.
        mark: shape of what travels beside the words.

    ``issue`` has a bit for each PE that takes ``item`` in this cycle; its sums are in row group ``addr`` of memory
    ``memory``. ``operands`` are the blocks of each PE, one cycle later. ``mark`` comes out as ``marked`` after
    LANE_LATENCY cycles, when the words that came before it are in the sums.

    ``read`` has a bit for each bank that reads ``read_addr`` of ``read_memory``: a row group of sums follows one cycle
    later in its ``sums`` and holds until the memory is used again. It must not come two cycles after an issue for the
    same memory, which is when that fetches.

    ``overflow`` pulses a cycle after a product or a sum left the 32-bit range.
    """

    def __init__(
        self, cfg: AcceleratorConfig, depth: int, *, pes: int = 1, memories: int = 1, mark: ShapeLike = 1
    ) -> None:
        self.cfg = cfg
        self.depth, self.pes, self.memories, self.mark_shape = depth, pes, memories, mark
        memory = range(max(2, memories))
        addr = range(max(2, depth))
        super().__init__(
            {
                "item": In(item_layout(cfg)),
                "issue": In(pes),
                "memory": In(memory),
                "addr": In(addr),
                "operands": In(HALVES).array(pes),
                "mark": In(mark),
                "marked": Out(mark),
                "read": In(pes),
                "read_memory": In(memory),
                "read_addr": In(addr),
                "sums": Out(signed(SUM_BITS)).array(pes, BANK_LANES),
                "overflow": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Stage 1 multiplies, stage 2 rounds while the bank fetches, stage 3 adds.
        values = Signal.like(self.item.values)
        selects = Signal.like(self.item.selects)
        lanes = [Signal.like(self.item.lanes, name=f"lanes_{i}") for i in range(1, 3)]
        first = Signal(LANE_LATENCY - 1)
        working = [Signal(self.pes, name=f"working_{i}") for i in range(1, 4)]
        addr = [Signal.like(self.addr, name=f"addr_{i}") for i in range(1, 3)]
        marks = [self.mark, *(Signal(self.mark_shape, name=f"mark_{i}") for i in range(1, LANE_LATENCY)), self.marked]
        m.d.sync += [
            values.eq(self.item.values),
            selects.eq(self.item.selects),
            first.eq(Cat(self.item.first, first)),
            *(
                after.eq(before)
                for stages in ([self.item.lanes, *lanes], [self.issue, *working], [self.addr, *addr], marks)
                for before, after in pairwise(stages)
            ),
        ]
        memory = self.memory
        if self.memories > 1:
            memory = [Signal.like(self.memory, name=f"memory_{i}") for i in range(1, 3)]
            m.d.sync += [memory[0].eq(self.memory), memory[1].eq(memory[0])]
            memory = memory[1]

        lost = Signal(self.pes)
        overflows = Signal(self.pes)
        for i in range(self.pes):
            m.submodules[f"pe_{i}"] = pe = SpmvPe()
            m.submodules[f"bank_{i}"] = bank = ResultBank(self.depth, memories=self.memories)
            m.d.comb += [
                pe.values.eq(values),
                pe.selects.eq(selects),
                pe.operands.eq(self.operands[i]),
                bank.fetch.eq(working[1][i]),
                bank.memory.eq(memory),
                bank.addr[0].eq(addr[1]),
                bank.first.eq(first[1]),
                bank.lanes.eq(lanes[1]),
                *(bank.products[j].eq(pe.products[j]) for j in range(4)),
                bank.read.eq(self.read[i]),
                bank.read_memory.eq(self.read_memory),
                bank.read_addr.eq(self.read_addr),
                *(self.sums[i][lane].eq(bank.read_data[lane]) for lane in range(BANK_LANES)),
                overflows[i].eq(lost[i] | bank.overflow),
            ]
            m.d.sync += lost[i].eq(working[2][i] & pe.overflow)
        m.d.comb += self.overflow.eq(overflows.any())
        return m
