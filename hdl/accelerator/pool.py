"""The PEs and their banks: from decoded value words to sums of W x and of U h."""

from itertools import pairwise

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib.wiring import In, connect, flipped

from golden.config import AcceleratorConfig
from hdl.accelerator.signatures import u_bank_signature, w_bank_signature
from hdl.accelerator.spmv_bank import LANE_LATENCY, SpmvBank
from hdl.accelerator.spmv_pe import SpmvPe
from hdl.common.component import Component


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
