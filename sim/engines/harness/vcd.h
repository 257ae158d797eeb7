// Waveforms of models by sim/engines/native: the named signals of some cycles as a VCD file or, in a file NAME.npy, as
// an array of NumPy's with an element for each cycle.
#pragma once
#include <memory>

#include "files.h"
#include "model.h"
#include "npy.h"

template <class Top>
class Wave {
    Writer out;
    std::vector<uint64_t> now, before;
    std::string text;
    bool first = true;
    std::unique_ptr<Npy> rows;

    void change(const elstm::Signal &signal) {
        text += 'b';
        bool leading = true;
        for (unsigned bit = signal.width; bit-- > 0;) {
            bool set = now[signal.at + bit / 64] >> bit % 64 & 1;
            if (leading && bit && !set) continue;
            leading = false;
            text += set ? '1' : '0';
        }
        text += ' ';
        text += signal.identifier;
        text += '\n';
    }

  public:
    explicit Wave(const std::string &path)
        : out(path.c_str()), now(Top::SIGNAL_WORDS), before(Top::SIGNAL_WORDS) {
        if (path.size() > 4 && !path.compare(path.size() - 4, 4, ".npy"))
            rows = std::make_unique<Npy>(out, Top::npy_fields());
        else
            out.bytes(Top::vcd_head(), std::strlen(Top::vcd_head()));
    }
    ~Wave() {
        if (rows) rows->end();
        out.close();
    }

    // What the signals are in this cycle, before its edge; the clock is high in the first half of it.
    void sample(const Top &top, uint64_t cycle) {
        top.look(now.data());
        if (rows) {
            rows->add(now.data(), Top::fields());
            return;
        }
        text = "#" + std::to_string(10 * cycle) + "\n1clk\n";
        for (const elstm::Signal *signal = Top::signals(); signal->identifier; signal++) {
            size_t words = (signal->width + 63) / 64;
            if (first || std::memcmp(&now[signal->at], &before[signal->at], 8 * words)) change(*signal);
        }
        text += "#" + std::to_string(10 * cycle + 5) + "\n0clk\n";
        out.bytes(text.data(), text.size());
        now.swap(before);
        first = false;
    }
};
