// Progress lines for the parent process, and the end of this one when the parent is gone.
#pragma once
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

class ProgressLines {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point start = Clock::now();
    Clock::time_point last = start;

  public:
    // Cheap enough for every cycle: looks at the clock only now and then.
    void tick(uint64_t cycle) {
        if (cycle & 0xFFFF) return;
        Clock::time_point now = Clock::now();
        if (now - last < std::chrono::milliseconds(500)) return;
        last = now;
        if (std::printf("%llu\n", (unsigned long long)cycle) < 0 || std::fflush(stdout)) std::exit(4);
    }

    uint64_t nanoseconds() const {
        return uint64_t(std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count());
    }
};
