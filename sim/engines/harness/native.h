// Models by sim/engines/native as clocked components (rtl.h).
#pragma once
#ifdef WAVES
#include <memory>

#include "vcd.h"
#endif

template <unsigned BITS>
constexpr unsigned width(const elstm::Port<BITS> *) {
    return BITS;
}

// A value of more bits than the port has is cut.
template <unsigned BITS>
inline void put(elstm::Port<BITS> &port, uint64_t value) {
    port.v = BITS < 64 ? value & ((uint64_t(1) << (BITS % 64)) - 1) : value;
}

template <unsigned BITS>
inline uint64_t get(const elstm::Port<BITS> &port) {
    return port.v;
}

template <class Top>
class Clocked {
    bool settled = false;
#ifdef WAVES
    WaveWindow window;
    std::unique_ptr<Wave<Top>> wave;
#endif

  public:
    Top top;
    uint64_t cycle = 0;

    // Dump the window to a file; only a model built with waves can.
    void open(const WaveWindow &wanted) {
        if (wanted.path.empty()) return;
#ifdef WAVES
        window = wanted;
        wave = std::make_unique<Wave<Top>>(window.path);
#else
        fail("this model was built without waves");
#endif
    }
    // Outputs and next state at once, so only once a cycle; nothing is left for the edge.
    void settle() {
        if (settled) fail("settle() twice in a cycle");
        settled = true;
#ifdef WAVES
        if (wave && cycle >= window.first && cycle <= window.last) wave->sample(top, cycle);
#endif
        top.cycle();
    }
    void edge() { cycle++, settled = false; }
    // Reset for a few cycles with the inputs as they are, then count from cycle 0.
    void reset() {
        put(top.p_rst, 1);
        for (int i = 0; i < 4; i++) top.cycle();
        put(top.p_rst, 0);
        cycle = 0;
    }
    void finish(const std::string &) {}
};
