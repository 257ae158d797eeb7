// Consistency of the RVFI records, whatever the program: what riscv-formal calls the reg, pc, order and causal checks,
// and what its models of loads and stores say with RISCV_FORMAL_ALIGNED_MEM.
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

    // Whether the access to memory is the instruction's.
    template <class Record>
    static bool accesses(const Record &r, const Operands &o) {
        const unsigned opcode = r.insn & 0x7F, funct3 = r.insn >> 12 & 7, bytes = 1u << (funct3 & 3);
        const bool load = opcode == 0x03, store = opcode == 0x23;
        if (r.trap || !(load || store)) return !(r.read_mask | r.write_mask);
        const int32_t high = int32_t(r.insn) >> 20;
        const int32_t immediate = load ? high : (high & ~31) | int32_t(r.insn >> 7 & 31);
        const uint64_t address = o.rs1_value + uint64_t(int64_t(immediate)), offset = address & 7;
        const unsigned mask = ((1u << bytes) - 1) << offset, unused = 64 - 8 * bytes;
        if (r.address != address - offset) return false;
        if (r.read_mask != (load ? mask : 0) || r.write_mask != (store ? mask : 0)) return false;
        if (store) return (r.stored >> 8 * offset) << unused == o.rs2_value << unused;
        const uint64_t raised = (r.loaded >> 8 * offset) << unused;
        const uint64_t value = funct3 & 4 ? raised >> unused : uint64_t(int64_t(raised) >> unused);
        return !r.rd || r.rd_value == value;
    }

  public:
    enum Fault : uint64_t { NONE = 0, ORDER, REGISTER, PC, TRAP_EFFECT, CONSTANT, ACCESS };

    template <class Record>
    Fault check(const Record &r, const Operands &o) {
        if (o.order != order++) return ORDER;
        if (o.mode != 3 || o.ixl != 2 || o.halt) return CONSTANT;
        if (!reads(o.rs1, o.rs1_value) || !reads(o.rs2, o.rs2_value) || (!r.rd && r.rd_value)) return REGISTER;
        // a handler's first instruction says so, and only it may start where the one before did not lead
        if (order > 1 && ((r.pc != next_pc && !r.intr) || (after_trap && !r.intr))) return PC;
        if (r.trap && (r.rd || r.read_mask || r.write_mask)) return TRAP_EFFECT;
        if (!accesses(r, o)) return ACCESS;
        if (r.rd) known[r.rd] = true, registers[r.rd] = r.rd_value;
        // a RoCC response is written outside of the record of its instruction
        unsigned opcode = r.insn & 0x7F, rd = r.insn >> 7 & 31;
        bool custom = opcode == 0x0B || opcode == 0x2B || opcode == 0x5B || opcode == 0x7B;
        if (custom && !r.trap && rd && (r.insn >> 14 & 1)) known[rd] = false;
        next_pc = r.pc_next, after_trap = r.trap;
        return NONE;
    }
};
