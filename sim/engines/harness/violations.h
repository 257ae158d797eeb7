// What a design did that its contract forbids. Only numbers are recorded; sim/host/memory.py has the words.
#pragma once
#include "files.h"

enum Violation : uint64_t {
    OUTSIDE = 0,       // a request outside every segment: address, is store
    READ_ONLY,         // a store to a read-only segment: address
    MISALIGNED,        // an address that is no multiple of the access' size: address, bytes
    TAG_REUSED,        // a tag used again before its response: tag
    NOT_BUSY,          // a request while busy is low: address
    LEFT_OUTSTANDING,  // busy fell before the responses came: requests outstanding
    UNASKED_RESPONSE,  // a RoCC response to no command: rd, data
    WRONG_RD,          // a RoCC response with another rd than the oldest command waiting: rd, rd expected
    UNKNOWN_VALUE,     // an output is X (four-valued simulators only): which
    AXI_CHANGED,       // an AXI payload changed before it was taken: channel (AW, W, AR)
    AXI_NOT_READY,     // rready or bready is low: which
    AXI_ID_REUSED,     // an arid used again before its last beat: id
    AXI_NO_WLAST,      // no wlast at the last beat: beats
    AXI_WLAST,         // wlast at another beat than the last: beats sent, beats announced
    AXI_ATTRIBUTES,    // another size, burst, cache or prot than promised: channel, all four a byte each
    AXI_BEATS,         // a burst that is too long: channel, beats
    AXI_CROSSES,       // a burst across a 4 KiB boundary: address, beats
};

struct Violations {
    static constexpr size_t KEPT = 20;
    struct Record {
        uint64_t kind, cycle, a, b;
    };
    std::vector<Record> records;

    void add(Violation kind, uint64_t cycle, uint64_t a, uint64_t b = 0) {
        if (records.size() < KEPT) records.push_back({kind, cycle, a, b});
    }
    void write(Writer &out) const {
        out.u64(records.size());
        for (const Record &r : records) {
            out.u64(r.kind), out.u64(r.cycle), out.u64(r.a), out.u64(r.b);
        }
    }
};
