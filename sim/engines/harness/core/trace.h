// One line for each retired instruction and trap, in the form of Spike's commit log.
#pragma once
#include <cinttypes>

#include "files.h"

// address, masks, stored and loaded as in RVFI: of the 8-byte word, in its lanes.
struct Record {
    bool trap, intr;
    uint64_t pc, pc_next;
    uint32_t insn;
    unsigned rd, read_mask, write_mask;
    uint64_t rd_value, address, stored, loaded, cause, tval;
};

class Trace {
    std::FILE *file = nullptr;

  public:
    void open(const std::string &path) {
        if (path.empty()) return;
        file = std::fopen(path.c_str(), "wb");
        if (!file) fail("cannot write " + path);
    }

    // interrupted: an interrupt was taken before the instruction at epc, which is not in the trace.
    void add(const Record &r, bool interrupted, uint64_t epc) {
        if (!file) return;
        if (interrupted) std::fprintf(file, "core   0: interrupt epc 0x%016" PRIx64 "\n", epc);
        if (r.trap) {
            std::fprintf(file, "core   0: trap %" PRIu64 " epc 0x%016" PRIx64 " tval 0x%016" PRIx64 "\n", r.cause, r.pc,
                         r.tval);
            return;
        }
        std::fprintf(file, "core   0: 3 0x%016" PRIx64 " (0x%08x)", r.pc, r.insn);
        if (r.rd) std::fprintf(file, " x%-2u 0x%016" PRIx64, r.rd, r.rd_value);
        // Spike counts from the first byte of the access
        if (unsigned mask = r.read_mask | r.write_mask) {
            unsigned offset = unsigned(__builtin_ctz(mask)), bytes = unsigned(__builtin_popcount(mask));
            std::fprintf(file, " mem 0x%016" PRIx64, r.address + offset);
            uint64_t value = r.stored >> 8 * offset;
            if (bytes < 8) value &= (uint64_t(1) << 8 * bytes) - 1;
            if (r.write_mask) std::fprintf(file, " 0x%0*" PRIx64, int(2 * bytes), value);
        }
        std::fputc('\n', file);
    }

    void close() {
        if (file) close_output(file, "the trace");
        file = nullptr;
    }
};
