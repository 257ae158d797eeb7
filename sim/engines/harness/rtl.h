// A model as a clocked component: ports as integers, one call a cycle, waveforms.
//
// Compile with -DMODEL='"path of the generated source"'. The source is CXXRTL's, with -DWAVES with its debug
// information, or with -DNATIVE that of sim/native. Ports have the same names in both.
#pragma once
#include MODEL
#if defined(WAVES) && !defined(NATIVE)
#include <cxxrtl/cxxrtl_vcd.h>
#endif
#include "files.h"

// Which cycles go to a waveform; an empty path is none.
struct WaveWindow {
    std::string path;
    uint64_t first, last;

    void read(Reader &in) { path = in.text(), first = in.u64(), last = in.u64(); }
};

#ifdef NATIVE

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
    void reset() {
        put(top.p_rst, 1);
        for (int i = 0; i < 4; i++) top.cycle();
        put(top.p_rst, 0);
        cycle = 0;
    }
};

#else

template <size_t BITS>
constexpr unsigned width(const cxxrtl::value<BITS> *) {
    return BITS;
}

template <size_t BITS>
inline void put(cxxrtl::value<BITS> &port, uint64_t value) {
    static_assert(BITS <= 64, "ports are at most 64 bits");
    port.data[0] = uint32_t(value);
    if constexpr (BITS > 32) port.data[1] = uint32_t(value >> 32);
}

template <size_t BITS>
inline uint64_t get(const cxxrtl::value<BITS> &port) {
    static_assert(BITS <= 64, "ports are at most 64 bits");
    uint64_t value = port.data[0];
    if constexpr (BITS > 32) value |= uint64_t(port.data[1]) << 32;
    return value;
}

template <size_t BITS>
inline uint64_t get(const cxxrtl::wire<BITS> &port) {
    return get(port.curr);
}

// Runs Top one clock cycle at a time: set inputs, settle(), look at outputs, edge().
//
// A model without feedback through combinational wires settles in one evaluation, and that same evaluation, done as
// if the clock had just risen, also computes the next state, which edge() then only commits: one evaluation a cycle.
// Any other model is evaluated until it is stable, once at the low and once at the high clock.
template <class Top>
class Clocked {
    bool one_pass = false;
#ifdef WAVES
    cxxrtl::debug_items items;
    cxxrtl::vcd_writer vcd;
    WaveWindow window;
    std::FILE *wave = nullptr;
#endif

  public:
    Top top;
    uint64_t cycle = 0;

    Clocked() {
        top.p_clk.data[0] = 0;
        one_pass = top.eval();
        top.commit();
    }

    ~Clocked() {
#ifdef WAVES
        if (wave) close_output(wave, window.path);
#endif
    }

    // Dump the window to a file; only a model built with waves can.
    void open(const WaveWindow &wanted) {
        if (wanted.path.empty()) return;
#ifdef WAVES
        window = wanted;
        wave = std::fopen(window.path.c_str(), "wb");
        if (!wave) fail("cannot write " + window.path);
        top.debug_info(&items, nullptr, "");
        vcd.timescale(1, "ns");
        vcd.add_without_memories(items);
#else
        fail("this model was built without waves");
#endif
    }

    void settle() {
        if (one_pass) {
            top.prev_p_clk.data[0] = 0;
            top.p_clk.data[0] = 1;
            top.eval();
        } else {
            top.p_clk.data[0] = 0;
            top.step();
        }
#ifdef WAVES
        if (wave && cycle >= window.first && cycle <= window.last) {
            uint32_t clock = top.p_clk.data[0];
            top.p_clk.data[0] = 1;
            vcd.sample(10 * cycle);
            top.p_clk.data[0] = 0;
            vcd.sample(10 * cycle + 5);
            top.p_clk.data[0] = clock;
            std::fwrite(vcd.buffer.data(), 1, vcd.buffer.size(), wave);
            vcd.buffer.clear();
        }
#endif
    }

    void edge() {
        if (one_pass)
            top.commit();
        else {
            top.p_clk.data[0] = 1;
            top.step();
        }
        cycle++;
    }

    // Reset for a few cycles with the inputs as they are, then count from cycle 0.
    void reset() {
        top.p_rst.data[0] = 1;
        for (int i = 0; i < 4; i++) {
#ifdef WAVES
            std::FILE *kept = wave;
            wave = nullptr;
            settle();
            wave = kept;
#else
            settle();
#endif
            edge();
        }
        top.p_rst.data[0] = 0;
        cycle = 0;
    }
};

#endif
