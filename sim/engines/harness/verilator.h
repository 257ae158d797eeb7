// Models by Verilator as clocked components (rtl.h). Top has the Verilated model and its context, and each port by
// reference (sim/engines/verilator/model.py).
#pragma once
#ifdef WAVES
#include <verilated_vcd_c.h>
#endif
#ifdef COVERAGE
#include <verilated_cov.h>
#endif

template <unsigned BITS, class Word>
constexpr unsigned width(const Port<BITS, Word> *) {
    return BITS;
}

// A value of more bits than the port has is cut.
template <unsigned BITS, class Word>
inline void put(Port<BITS, Word> &port, uint64_t value) {
    port.v = Word(BITS < 64 ? value & ((uint64_t(1) << (BITS % 64)) - 1) : value);
}

template <unsigned BITS, class Word>
inline uint64_t get(const Port<BITS, Word> &port) {
    return port.v;
}

#ifdef WAVES
// The file of a waveform. Verilator's own would end the program with its words, not ours, when a disk is full, and it
// puts a scope "top" with the ports around everything, by which signals would have other names than in other engines.
class WaveFile : public VerilatedVcdFile {
    std::string path, head;
    std::FILE *file = nullptr;
    bool in_head = true;

    void put(const std::string &text) {
        if (std::fwrite(text.data(), 1, text.size(), file) != text.size()) cannot_write(path);
    }

    void end_head() {
        size_t outer = head.find("$scope"), inner = head.find("$scope", outer + 1), last = head.rfind("$upscope");
        if (inner != std::string::npos && head.compare(outer, 18, "$scope module top ") == 0) {
            head.erase(last, head.find('\n', last) + 1 - last);
            head.erase(outer, inner - outer);
        }
        put(head);
        in_head = false;
    }

  public:
    bool open(const std::string &name) override {
        path = name, file = std::fopen(name.c_str(), "wb");
        if (!file) cannot_write(path);
        return true;
    }
    void close() override {
        if (file) close_output(file, path);
        file = nullptr;
    }
    ssize_t write(const char *from, ssize_t count) override {
        std::string text(from, size_t(count));
        if (!in_head) {
            put(text);
            return count;
        }
        head += text;
        if (head.find("$enddefinitions") != std::string::npos) end_head();
        return count;
    }
};
#endif

template <class Top>
class Clocked {
#ifdef WAVES
    WaveWindow window;
    WaveFile file;
    VerilatedVcdC wave{&file};
#endif

  public:
    Top top;
    uint64_t cycle = 0;

    ~Clocked() {
#ifdef WAVES
        wave.close();
#endif
        top.model.final();
    }

    // Dump the window to a file; only a model built with waves can.
    void open(const WaveWindow &wanted) {
        if (wanted.path.empty()) return;
#ifdef WAVES
        window = wanted;
        wave.set_time_unit("1ns"), wave.set_time_resolution("1ns");
        top.context.traceEverOn(true);
        top.model.trace(&wave, 99);
        wave.open(window.path.c_str());
#else
        fail("this model was built without waves");
#endif
    }

    // The clock falls here, not half a cycle after the edge: nothing depends on when, and it saves an evaluation.
    void settle() {
#ifdef WAVES
        bool shown = wave.isOpen() && cycle >= window.first && cycle <= window.last;
        if (shown) {
            top.model.eval();
            wave.dump(10 * cycle);
        }
#endif
        put(top.p_clk, 0);
        top.model.eval();
#ifdef WAVES
        if (shown) wave.dump(10 * cycle + 5);
#endif
    }
    void edge() {
        put(top.p_clk, 1);
        top.model.eval();
        cycle++;
    }

    // Reset for a few cycles with the inputs as they are, then count from cycle 0.
    void reset() {
        put(top.p_rst, 1);
        for (int i = 0; i < 4; i++) {
            put(top.p_clk, 0);
            top.model.eval();
            edge();
        }
        put(top.p_rst, 0);
        cycle = 0;
    }

    void finish(const std::string &path) {
#ifdef COVERAGE
        std::string name = path + ".coverage";
        top.context.coveragep()->write(name.c_str());
        // Verilator does not look whether the disk was full: the last line is ours
        std::FILE *file = std::fopen(name.c_str(), "ab");
        if (!file) cannot_write(name);
        std::fputs("# whole\n", file);
        close_output(file, name);
#endif
    }
};
