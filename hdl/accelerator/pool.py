"""The PEs and their banks: from decoded value words to sums of W x and of U h."""

from itertools import pairwise

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib.wiring import In, connect, flipped

from golden.config import BANK_LANES, AcceleratorConfig
from hdl.accelerator.result_bank import ResultBank
from hdl.accelerator.signatures import BankSignature, u_bank_signature, w_bank_signature
from hdl.accelerator.spmv_pe import SpmvPe
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
        m.submodules.sums = bank = ResultBank(
            self.depth,
            memories=self.memories,
            products=cfg.entries,
            crossbar=cfg.esell,
            streams=cfg.clears,
        )
        # Stage 1 multiplies, stage 2 rounds while the bank fetches and finds out where to, stage 3 adds.
        words = self.words
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
            *(words.sums[lane].eq(bank.read_data[lane]) for lane in range(BANK_LANES)),
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


class Pool(Component):
    """Every PE takes a word a cycle: PE i for bank i of ``w``, or one of them for ``u``.

    ``spare``: the PE that U's words take; W's bank of that PE must not issue in a cycle in which ``u`` does. Where the
    accelerator runs cell fusion alone, the last PE is U's and no bank's.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        super().__init__(
            {
                "w": In(w_bank_signature(cfg)).array(cfg.w_banks),
                "u": In(u_bank_signature(cfg)),
                "spare": In(range(cfg.n_pe)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg, u = self.cfg, self.u
        m.submodules.u_bank = u_bank = SpmvBank(cfg, u_bank_signature(cfg), cfg.row_groups, memories=2)
        connect(m, flipped(u), u_bank.words)
        takes_u = [Signal(cfg.n_pe, name=f"takes_u_{i}") for i in range(LANE_LATENCY + 1)]
        m.d.comb += takes_u[0].eq(u.issue << self.spare if cfg.group_list else u.issue << cfg.n_pe - 1)
        m.d.sync += [after.eq(before) for before, after in pairwise(takes_u)]
        pes = []
        for i in range(cfg.n_pe):
            m.submodules[f"pe_{i}"] = pe = SpmvPe(macs=cfg.entries)
            pes.append(pe)
            values = Signal.like(u.item.values, name=f"values_{i}")
            selects = Signal.like(u.item.selects, name=f"selects_{i}")
            m.d.comb += [pe.values.eq(values), pe.selects.eq(selects)]
            if i >= cfg.w_banks:
                m.d.comb += pe.operands.eq(u.operands)
                m.d.sync += [values.eq(u.item.values), selects.eq(u.item.selects)]
                continue
            w = self.w[i]
            depth = cfg.bank_slots * cfg.row_groups
            m.submodules[f"w_bank_{i}"] = bank = SpmvBank(cfg, w_bank_signature(cfg), depth)
            connect(m, flipped(w), bank.words)
            m.d.comb += [*(bank.products[j].eq(pe.products[j]) for j in range(cfg.entries)), bank.lost.eq(pe.overflow)]
            if cfg.group_list:
                item_values = Mux(takes_u[0][i], u.item.values.as_value(), w.item.values.as_value())
                item_selects = Mux(takes_u[0][i], u.item.selects.as_value(), w.item.selects.as_value())
                m.d.comb += pe.operands.eq(Mux(takes_u[1][i], u.operands.as_value(), w.operands.as_value()))
                m.d.sync += [values.eq(item_values), selects.eq(item_selects)]
            else:
                m.d.comb += pe.operands.eq(w.operands)
                m.d.sync += [values.eq(w.item.values), selects.eq(w.item.selects)]
        if cfg.group_list:
            taken = takes_u[LANE_LATENCY]
            for j in range(cfg.entries):
                terms = [Mux(taken[i], pe.products[j], 0) for i, pe in enumerate(pes)]
                product = terms[0]
                for term in terms[1:]:
                    product |= term
                m.d.comb += u_bank.products[j].eq(product)
            m.d.comb += u_bank.lost.eq(Cat(taken[i] & pe.overflow for i, pe in enumerate(pes)).any())
        else:
            last = pes[-1]
            m.d.comb += [*(u_bank.products[j].eq(last.products[j]) for j in range(cfg.entries))]
            m.d.comb += u_bank.lost.eq(last.overflow)
        return m
