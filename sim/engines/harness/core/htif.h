// The host's end of HTIF, as riscv-tests and Spike use it: exit, console output, and the system calls write and exit.
#pragma once
#include "memory.h"

class Htif {
    Image &image;

  public:
    enum State { RUNNING, EXIT, UNKNOWN };
    static constexpr uint64_t NOWHERE = Image::NOWHERE;

    uint64_t tohost = NOWHERE, fromhost = NOWHERE;
    State state = RUNNING;
    uint64_t value = 0;  // what was written to tohost last, not counting zeros
    std::string console;

    explicit Htif(Image &image) : image(image) {}

    // The program has written to tohost.
    void act() {
        uint64_t command = *word(tohost);
        if (!command) return;
        value = command;
        unsigned device = unsigned(command >> 56), what = unsigned(command >> 48 & 0xFF);
        uint64_t payload = command & ((uint64_t(1) << 48) - 1);
        if (device == 0 && what == 0 && (payload & 1)) {
            state = EXIT;
            return;
        }
        bool known = false;
        if (device == 0 && what == 0) known = system_call(payload);
        if (device == 1 && what == 1) {
            console += char(payload);
            known = true;
        }
        if (!known) state = state == EXIT ? EXIT : UNKNOWN;
        *word(tohost) = 0;
    }

  private:
    uint64_t *word(uint64_t address) {
        Image::Segment *s = image.find(address);
        return s ? &s->words[(address - s->address) / 8] : nullptr;
    }

    // payload: address of {number, a0, a1, a2}; the result replaces the number and fromhost becomes 1.
    bool system_call(uint64_t payload) {
        uint64_t argument[4];
        for (unsigned i = 0; i < 4; i++) {
            uint64_t *at = word(payload + 8 * i);
            if (!at) return false;
            argument[i] = *at;
        }
        if (argument[0] == 93) {
            value = argument[1] << 1 | 1;
            state = EXIT;
            return true;
        }
        if (argument[0] != 64) return false;
        for (uint64_t i = 0; i < argument[3]; i++) {
            uint64_t *at = word(argument[2] + i);
            if (!at) return false;
            console += char(*at >> 8 * (argument[2] + i & 7));
        }
        *word(payload) = argument[3];
        if (uint64_t *at = word(fromhost)) *at = 1;
        return true;
    }
};
