// Waveforms of models by sim/native: the named signals of some cycles as a VCD file; in a file NAME.rows the same head
// is followed by a row for each cycle, every signal in its turn in as few bytes as hold it, little-endian.
#pragma once
#include "files.h"
#include "model.h"

template <class Top>
class Wave {
    Writer out;
    std::vector<uint64_t> now, before;
    std::string text;
    bool first = true;
    const bool rows;

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
        : out(path.c_str()), now(Top::SIGNAL_WORDS), before(Top::SIGNAL_WORDS),
          rows(path.size() > 5 && !path.compare(path.size() - 5, 5, ".rows")) {
        out.bytes(Top::vcd_head(), std::strlen(Top::vcd_head()));
    }
    ~Wave() { out.close(); }

    // What the signals are in this cycle, before its edge; the clock is high in the first half of it.
    void sample(const Top &top, uint64_t cycle) {
        top.look(now.data());
        if (rows) {
            for (const elstm::Signal *signal = Top::signals(); signal->identifier; signal++)
                out.bytes(reinterpret_cast<const char *>(&now[signal->at]), (signal->width + 7) / 8);
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
