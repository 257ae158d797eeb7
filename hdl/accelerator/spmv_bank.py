"""A bank of sums with the stages of the words on their way to it."""

from itertools import pairwise

from amaranth import Cat, Module, Signal, signed
from amaranth.lib.wiring import In

from golden.config import BANK_LANES, AcceleratorConfig
from hdl.accelerator.result_bank import ResultBank
from hdl.accelerator.signatures import BankSignature
from hdl.common.component import Component

LANE_LATENCY = 3
"""Cycles from an item to its sums."""


class SpmvBank(Component):
    """A bank with the stages of the words on their way to it, beside those of the PE that multiplies them.

    ``words``: what is issued; ``products`` come two cycles after it, with ``lost`` if one does not fit 32 bits."""

    def __init__(self, cfg: AcceleratorConfig, signature: BankSignature, depth: int, *, memories: int = 1) -> None:
        self.cfg, self.depth, self.memories = cfg, depth, memories
        super().__init__({"words": In(signature), "products": In(signed(32)).array(cfg.entries), "lost": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg = self.cfg
        words = self.words
        m.submodules.sums = bank = ResultBank(
            self.depth,
            memories=self.memories,
            products=cfg.entries,
            crossbar=cfg.esell,
            streams=cfg.clears,
            pairs=len(words.sums) > BANK_LANES,
        )
        # Stage 1 multiplies, stage 2 rounds while the bank fetches and finds out where to, stage 3 adds.
        lanes = [Signal.like(words.item.lanes, name=f"lanes_{i}") for i in range(1, 3)]
        first = Signal(2)
        working = Signal(LANE_LATENCY)
        memory = [Signal.like(words.memory, name=f"memory_{i}") for i in range(1, 3)]
        addr = [
            [words_addr, *(Signal.like(words_addr, name=f"addr_{k}_{i}") for i in range(1, 3))]
            for k, words_addr in enumerate(words.addr)
        ]
        marks = [Signal.like(words.mark, name=f"mark_{i}") for i in range(1, LANE_LATENCY)]
        lost = Signal()
        m.d.sync += [
            first.eq(Cat(words.item.mark.first, first)),
            working.eq(Cat(words.issue, working)),
            lost.eq(working[2] & self.lost),
            *(
                after.eq(before)
                for stages in (
                    [words.item.lanes, *lanes],
                    [words.memory, *memory],
                    *addr,
                    [words.mark, *marks, words.marked],
                )
                for before, after in pairwise(stages)
            ),
        ]
        m.d.comb += [
            bank.fetch.eq(working[1]),
            bank.memory.eq(memory[1]),
            *(each.eq(addr[k % len(addr)][2]) for k, each in enumerate(bank.addr)),
            bank.lanes.eq(lanes[1]),
            *(bank.products[i].eq(self.products[i]) for i in range(cfg.entries)),
            bank.read.eq(words.read),
            bank.read_memory.eq(words.read_memory),
            bank.read_addr.eq(words.read_addr),
            *(words.sums[lane].eq(bank.read_data[lane]) for lane in range(len(words.sums))),
            words.overflow.eq(lost | bank.overflow),
        ]
        if cfg.esell:
            m.d.comb += bank.first.eq(first[1])
        if cfg.streams:
            used = [Signal(cfg.entries, name=f"used_{i}") for i in range(1, 3)]
            m.d.sync += [after.eq(before) for before, after in pairwise([words.item.used, *used])]
            m.d.comb += bank.used.eq(used[1])
        elif cfg.clears:
            m.d.comb += bank.used.eq(~0)
        if cfg.clears:
            m.d.comb += [
                bank.read_clears.eq(words.read_clears),
                bank.clear_start.eq(words.clear),
                bank.clear_memory.eq(words.clear_memory),
                bank.clear_rows.eq(words.clear_rows),
                words.clearing.eq(bank.clearing),
            ]
        return m
