// The random numbers of the memory model: splitmix64, the same in sim/host/memory.py bit for bit.
#pragma once
#include <cstdint>

struct Random {
    uint64_t state;

    // Streams of one seed are independent: each purpose draws from its own, so that none disturbs another.
    Random(uint64_t seed, uint64_t stream) : state(seed ^ (stream * 0xD1B54A32D192ED03u)) { next(); }

    uint64_t next() {
        uint64_t z = (state += 0x9E3779B97F4A7C15u);
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        return z ^ (z >> 31);
    }

    // A number in 0 .. bound - 1, bound < 2^32.
    uint64_t below(uint64_t bound) { return ((next() >> 32) * bound) >> 32; }
};

enum Stream : uint64_t { STREAM_STALL = 1, STREAM_JITTER = 2, STREAM_RESPONSE = 3 };
