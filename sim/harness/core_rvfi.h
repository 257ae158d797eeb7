// Consistency of the RVFI records, whatever the program: what riscv-formal calls the reg, pc, order and causal checks.
#pragma once
#include <cstdint>

struct Operands {
    uint64_t order;
    unsigned rs1, rs2;
    uint64_t rs1_value, rs2_value;
    bool halt;
    unsigned mode, ixl;
};

class RvfiCheck {
    uint64_t registers[32] = {};
    bool known[32] = {true};
    uint64_t order = 0, next_pc = 0;
    bool after_trap = false;

    bool reads(unsigned number, uint64_t value) {
        if (!known[number]) known[number] = true, registers[number] = value;
        return registers[number] == value;
    }

  public:
    enum Fault : uint64_t { NONE = 0, ORDER, REGISTER, PC, TRAP_EFFECT, CONSTANT };

    template <class Record>
    Fault check(const Record &r, const Operands &o) {
        if (o.order != order++) return ORDER;
        if (o.mode != 3 || o.ixl != 2 || o.halt) return CONSTANT;
        if (!reads(o.rs1, o.rs1_value) || !reads(o.rs2, o.rs2_value) || (!r.rd && r.rd_value)) return REGISTER;
        // a handler's first instruction says so, and only it may start where the one before did not lead
        if (order > 1 && ((r.pc != next_pc && !r.intr) || (after_trap && !r.intr))) return PC;
        if (r.trap && (r.rd || r.read_mask || r.write_mask)) return TRAP_EFFECT;
        if (r.rd) known[r.rd] = true, registers[r.rd] = r.rd_value;
        // a RoCC response is written outside of the record of its instruction
        unsigned opcode = r.insn & 0x7F, rd = r.insn >> 7 & 31;
        bool custom = opcode == 0x0B || opcode == 0x2B || opcode == 0x5B || opcode == 0x7B;
        if (custom && !r.trap && rd && (r.insn >> 14 & 1)) known[rd] = false;
        next_pc = r.pc_next, after_trap = r.trap;
        return NONE;
    }
};
