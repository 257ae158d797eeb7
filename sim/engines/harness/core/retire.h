// The core's trace port, RVFI: the commit trace, how many instructions retired, and why a program will never end.
#pragma once
#include "htif.h"
#include "rvfi.h"
#include "trace.h"

enum Stop : uint64_t { EXITED = 0, MAX_CYCLES, STUCK, TRAP_LOOP, BAD_HTIF, BAD_RVFI };

struct Retirement {
    Trace trace;
    RvfiCheck rvfi;
    uint64_t retired = 0;
    Record last{}, last_trap{};
    bool trapped = false, exited = false;

    // Where the core starts: the pc until the first instruction retires.
    void start(uint64_t reset_address) { last.pc = last.pc_next = reset_address; }

    // To be called in every cycle; true when an instruction retired or trapped. ``stop`` stays when all is well.
    template <class Top>
    bool sample(Top &top, const Htif &htif, Stop &stop) {
        if (!get(top.p_rvfi__valid)) return false;
        Record r;
        r.trap = get(top.p_rvfi__trap), r.intr = get(top.p_rvfi__intr);
        r.pc = get(top.p_rvfi__pc__rdata), r.pc_next = get(top.p_rvfi__pc__wdata);
        r.insn = uint32_t(get(top.p_rvfi__insn));
        r.rd = unsigned(get(top.p_rvfi__rd__addr)), r.rd_value = get(top.p_rvfi__rd__wdata);
        r.address = get(top.p_rvfi__mem__addr);
        r.read_mask = unsigned(get(top.p_rvfi__mem__rmask)), r.write_mask = unsigned(get(top.p_rvfi__mem__wmask));
        r.stored = get(top.p_rvfi__mem__wdata), r.loaded = get(top.p_rvfi__mem__rdata);
        r.cause = get(top.p_rvfi__csr__mcause__wdata), r.tval = get(top.p_rvfi__csr__mtval__wdata);
        bool after_trap = last.trap;
        uint64_t expected = last.pc_next;
        trace.add(r, r.intr && !after_trap, expected);
        last = r;
        Operands o;
        o.order = get(top.p_rvfi__order);
        o.rs1 = unsigned(get(top.p_rvfi__rs1__addr)), o.rs1_value = get(top.p_rvfi__rs1__rdata);
        o.rs2 = unsigned(get(top.p_rvfi__rs2__addr)), o.rs2_value = get(top.p_rvfi__rs2__rdata);
        o.halt = get(top.p_rvfi__halt), o.mode = unsigned(get(top.p_rvfi__mode)), o.ixl = unsigned(get(top.p_rvfi__ixl));
        if (rvfi.check(r, o) != RvfiCheck::NONE) {
            stop = BAD_RVFI;
            return true;
        }
        if (!r.trap) {
            retired++;
            // the store that ends the program is the last instruction of the trace
            exited = htif.state == Htif::EXIT && r.write_mask && r.address == htif.tohost;
            return true;
        }
        // A vector where nothing can be fetched: the program will never get out, and the trap before is the reason.
        if (r.cause == 1 && r.pc == r.pc_next) {
            stop = TRAP_LOOP;
            if (!trapped) last_trap = r, trapped = true;
            return true;
        }
        last_trap = r, trapped = true;
        return true;
    }

    // What a run was, the head of an outcome file.
    void write(Writer &out, uint64_t cycles, Stop stop, const Htif &htif, uint64_t nanoseconds) const {
        out.u64(cycles), out.u64(retired), out.u64(stop), out.u64(htif.value), out.u64(nanoseconds);
        out.u64(last.pc), out.u64(last.pc_next), out.u64(last.insn);
        out.u64(trapped), out.u64(last_trap.pc), out.u64(last_trap.cause), out.u64(last_trap.tval);
        out.u64(htif.console.size());
        out.bytes(htif.console.data(), htif.console.size());
    }
};
